//! URLs with `${ … }` in them.
//!
//! A template fills in parts of a path, a query or a fragment, and never more than a part: what it gives is encoded. Who is
//! asked (scheme, host and port) stands in the rule, unless the whole URL is one `${…}`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Engine, Fault, Scope, Template, template::Piece};
use crate::model::text::Mistake;

/// All but the characters that mean themselves everywhere in a URL.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text that is a URL.
#[derive(Clone, Debug)]
pub struct UrlTemplate(Template);

/// Why there is no URL.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfit {
    /// A `${…}` gave `()`.
    NotConfigured,
    /// What was filled in would change more than its part.
    Wrong(String),
}

impl UrlTemplate {
    /// Checks that templates stand where they can only be parts; `None` and a mistake if not.
    pub fn of(template: Template, mistakes: &mut Vec<Mistake>) -> Option<UrlTemplate> {
        let whole = matches!(&template.pieces[..], [Piece::Expr(_)]);
        let fixed = whole
            || template.constant().is_some()
            || matches!(template.pieces.first(), Some(Piece::Plain(start)) if names_host(start));
        if fixed {
            return Some(UrlTemplate(template));
        }
        let wrong = Mistake::new(
            "bad-value",
            "`${…}` cannot be a part of the scheme, the host or the port of a URL",
            template.text().place(),
        );
        mistakes.push(wrong.help(
            "write them out up to the `/` behind them, or give the whole URL as one `${…}`: '${\"https://\" + vars.host + \"/health\"}'",
        ));
        None
    }

    pub fn template(&self) -> &Template {
        &self.0
    }

    /// The URL as text, its parts encoded.
    pub fn render(
        &self,
        engine: &Engine,
        scope: &Scope<'_>,
    ) -> Result<Result<String, Unfit>, Fault> {
        if let [Piece::Expr(expr)] = &self.0.pieces[..] {
            let given = expr.given(engine, scope)?;
            return Ok(given.ok_or(Unfit::NotConfigured));
        }
        let mut url = String::new();
        let mut filled = Vec::new();
        for piece in &self.0.pieces {
            match piece {
                Piece::Plain(text) => url.push_str(text),
                Piece::Expr(expr) => {
                    let Some(given) = expr.given(engine, scope)? else {
                        return Ok(Err(Unfit::NotConfigured));
                    };
                    filled.push(url.len());
                    url.extend(utf8_percent_encode(&given, PART));
                }
            }
        }
        Ok(match misleading(&url, &filled) {
            Some(why) => Err(Unfit::Wrong(why)),
            None => Ok(url),
        })
    }
}

/// Whether scheme, host and port stand here whole.
fn names_host(start: &str) -> bool {
    start
        .split_once("://")
        .is_some_and(|(_, rest)| rest.find(['/', '?', '#']).is_some_and(|at| at > 0))
}

/// Segments of the path that were filled in (at these bytes) and now mean another path: `DELETE /orders/${id}` with an
/// empty id would mean all orders.
fn misleading(url: &str, filled: &[usize]) -> Option<String> {
    let path_end = url.find(['?', '#']).unwrap_or(url.len());
    let mut from = url.find("://").map_or(0, |at| at + 3);
    for segment in url.get(from..path_end)?.split('/') {
        let to = from + segment.len();
        let is_filled = filled.iter().any(|at| (from..=to).contains(at));
        if is_filled && segment.is_empty() {
            return Some("an empty text was filled in for a part of the URL's path".to_owned());
        }
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        if is_filled && matches!(plain.as_str(), "." | "..") {
            return Some(format!(
                "`{segment}` was filled in for a part of the URL's path"
            ));
        }
        from = to + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::{facts::Facts, text::Text},
        script::{Ground, Known},
    };

    fn rendered(source: &str, x: serde_json::Value) -> Result<String, String> {
        let engine = Engine::new();
        let known = Known::default().with("x", None);
        let mut mistakes = Vec::new();
        let template = Template::compile(&engine, &Text::bare(source), &known, &mut mistakes)
            .expect("a template");
        let Some(url) = UrlTemplate::of(template, &mut mistakes) else {
            return Err(mistakes[0].code.to_owned());
        };
        let facts = Facts::new().with("x", x);
        let ground = Ground::default();
        match url.render(&engine, &Scope::new(&ground).facts(&facts)) {
            Ok(Ok(url)) => Ok(url),
            Ok(Err(unfit)) => Err(format!("{unfit:?}")),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn a_part_stays_a_part() {
        for (x, wanted) in [
            ("a b", "http://h/v1/a%20b/x?q=a%20b#a%20b"),
            (
                "../../admin",
                "http://h/v1/..%2F..%2Fadmin/x?q=..%2F..%2Fadmin#..%2F..%2Fadmin",
            ),
            (
                "1&admin=1",
                "http://h/v1/1%26admin%3D1/x?q=1%26admin%3D1#1%26admin%3D1",
            ),
            ("?a#b", "http://h/v1/%3Fa%23b/x?q=%3Fa%23b#%3Fa%23b"),
            (
                "@evil.example:1/",
                "http://h/v1/%40evil.example%3A1%2F/x?q=%40evil.example%3A1%2F#%40evil.example%3A1%2F",
            ),
            (
                "a\r\nHost: x",
                "http://h/v1/a%0D%0AHost%3A%20x/x?q=a%0D%0AHost%3A%20x#a%0D%0AHost%3A%20x",
            ),
            (
                "\\\\evil",
                "http://h/v1/%5C%5Cevil/x?q=%5C%5Cevil#%5C%5Cevil",
            ),
            ("%2e%2e", "http://h/v1/%252e%252e/x?q=%252e%252e#%252e%252e"),
            ("ü", "http://h/v1/%C3%BC/x?q=%C3%BC#%C3%BC"),
        ] {
            let url = rendered("http://h/v1/${x}/x?q=${x}#${x}", json!(x)).expect("a URL");
            assert_eq!(url, wanted, "{x}");
            let parsed = url::Url::parse(&url).expect("a URL");
            assert_eq!(parsed.host_str(), Some("h"));
            assert_eq!(parsed.path_segments().map(Iterator::count), Some(3), "{x}");
        }
        assert_eq!(
            rendered("http://h/${x}-${x}?n=${x}", json!(5)),
            Ok("http://h/5-5?n=5".to_owned())
        );
    }

    #[test]
    fn a_part_cannot_make_another_path() {
        for (x, source) in [
            ("..", "http://h/a/${x}/b"),
            (".", "http://h/a/${x}"),
            ("..", "http://h/a/${x}?q"),
            (".", "http://h/a/.${x}"),
            (".", "http://h/a/${x}${x}/b"),
            (".", "http://h/a/%2e${x}/b"),
            ("", "http://h/orders/${x}"),
            ("", "http://h/orders/${x}?all=1"),
            ("", "http://h/orders/${x}/items"),
        ] {
            let told = rendered(source, json!(x)).expect_err(source);
            assert!(told.starts_with("Wrong("), "{source} {x}: {told}");
        }
        assert!(rendered("http://h/a?q=${x}", json!("")).is_ok());
        assert!(rendered("http://h/a/v${x}", json!("")).is_ok());
    }

    #[test]
    fn who_is_asked_stands_in_the_rule() {
        for source in [
            "${x}://h/",
            "http://${x}/",
            "http://h:${x}/",
            "http://h${x}",
            "http://${x}.example.net/",
            "http://user:${x}@h/",
            "http:///${x}",
            "${x}${x}",
            "/a/${x}",
        ] {
            assert_eq!(
                rendered(source, json!("y")),
                Err("bad-value".to_owned()),
                "{source}"
            );
        }
        let whole = "http://other.example:1/a?b";
        assert_eq!(rendered("${x}", json!(whole)), Ok(whole.to_owned()));
        assert_eq!(
            rendered("http://h:1/x", json!(0)),
            Ok("http://h:1/x".to_owned())
        );
    }

    #[test]
    fn nothing_means_not_configured() {
        for source in ["${x}", "http://h/${x}"] {
            let told = rendered(source, json!(null));
            assert_eq!(told, Err("NotConfigured".to_owned()), "{source}");
        }
    }
}
