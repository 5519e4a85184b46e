//! `token`: the owner's token for the API and the page, and the address at which the page opens with it.
//!
//! The token stands after the `#` of the address, which browsers keep to themselves: it is in no request line and no log.

use serde_json::json;

use super::{
    outcome::{Failure, OK, Outcome, SOFTWARE},
    screen::Screen,
    show::Tone,
    site::Site,
};
use crate::{
    permission::tokens::{self, TokenError},
    web::loopback,
};

pub async fn token(site: &Site, fresh: bool, screen: &Screen) -> Outcome {
    let own = site.own();
    let made = match fresh {
        true => tokens::renew(&own),
        false => tokens::owner_token(&own),
    };
    let token = made.map_err(could_not)?;
    let address = loopback::address_of(&own);
    let page = address
        .as_ref()
        .map(|address| format!("{address}/#token={token}"));
    let value = json!({"token": token, "page": page, "renewed": fresh});
    screen.answer(&value, |style| {
        let mut shown = format!("{}  {token}\n", style.strong("token"));
        match &page {
            Some(page) => shown.push_str(&format!("{}   {page}\n", style.strong("page"))),
            None => shown.push_str(&style.dim("no engine serves a page here: `homeostat run`\n")),
        }
        if fresh {
            let said = "the token before counts no longer\n";
            shown.push_str(&style.paint(Tone::Warning, said));
        }
        shown
    });
    Ok(OK)
}

fn could_not(error: TokenError) -> Failure {
    Failure::new(SOFTWARE, error.told())
}
