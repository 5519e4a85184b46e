use std::{collections::BTreeMap, path::Path, sync::Arc};
#[tokio::test(flavor = "multi_thread")]
async fn show() {
    let o = homeostat::engine::live::Options {
        root: std::env::var("R").unwrap_or(".".into()).into(),
        rules: Path::new("rules").canonicalize().unwrap(),
        set: BTreeMap::new(),
        watch: false,
        clock: Arc::new(homeostat::clock::SystemClock),
    };
    match homeostat::engine::dry::run(
        o,
        vec![],
        std::env::var("AT")
            .ok()
            .and_then(|a| homeostat::model::moment::Moment::parse(&a)),
    )
    .await
    {
        Ok(a) => {
            for c in a.checks {
                println!(
                    "{} {} {} {:?} {:?}",
                    c.status, c.name, c.message, c.error, c.remediation.decision
                )
            }
        }
        Err(homeostat::engine::live::StartError::Rules(c)) => println!(
            "{}",
            homeostat::rules::complaint::render(
                &c,
                homeostat::rules::complaint::Style {
                    unicode: true,
                    colour: false,
                    width: 110
                }
            )
        ),
        Err(e) => println!("{e}"),
    }
}
