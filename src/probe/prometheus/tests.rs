//! Tests of `prometheus`, against a server that answers as the API does.

use serde_json::json;

use super::{super::testing::Bench, *};
use crate::net::testing::{Server, answer};

const SECRET: &str = "s3cret-value";

fn look(bench: &Bench, rule: Value) -> Value {
    bench
        .look(&KIND, rule)
        .expect("a network probe never fails")
}

fn server(status: &'static str, body: &str) -> Server {
    let body = body.to_owned();
    Server::http(move |_| answer(status, "Content-Type: application/json\r\n", &body))
}

fn at(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

/// What is seen of an answer with status 200.
fn seen(body: &str) -> Value {
    let server = server("200 OK", body);
    look(
        &Bench::new(),
        json!({"url": at(&server), "query": "up", "max_series": 3}),
    )
}

fn result(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

#[test]
fn asks_as_the_api_wants_it() {
    let server = server("200 OK", &result("vector", "[]"));
    let query = r#"sum by (job) (rate(x{job="a&b+c"}[5m])) > 1"#;
    let bench = Bench::new().with_env("TOKEN", SECRET);
    let mut rule = json!({
        "url": format!("{}/base/", at(&server)), "query": query, "timeout": "2s",
        "headers": {"X-Scope-OrgID": "1"},
        "basic_auth": {"user": "u", "password": "${env(\"TOKEN\")}"},
    });
    let got = look(&bench, rule.clone());
    assert_eq!(
        (&got["sent"], &got["code"], &got["error"]),
        (&json!(true), &json!(200), &json!(null))
    );
    assert!(got["latency_ms"].as_f64().is_some_and(|it| it > 0.0));
    rule["method"] = json!("POST");
    rule["time"] = json!("${now - 60}");
    look(&bench, rule);
    let heard = server.finish();
    let written =
        "query=sum+by+%28job%29+%28rate%28x%7Bjob%3D%22a%26b%2Bc%22%7D%5B5m%5D%29%29+%3E+1";
    let get = format!("GET /base/api/v1/query?{written}&timeout=2000ms HTTP/1.1\r\n");
    assert!(heard[0].starts_with(&get), "{}", heard[0]);
    let head = heard[0].to_lowercase();
    assert!(head.contains("x-scope-orgid: 1"), "{head}");
    assert!(head.contains("authorization: basic "), "{head}");
    assert!(
        heard[1].starts_with("POST /base/api/v1/query HTTP/1.1\r\n"),
        "{}",
        heard[1]
    );
    let body = format!("\r\n\r\n{written}&time=1767716940.000&timeout=2000ms");
    assert!(heard[1].ends_with(&body), "{}", heard[1]);
}

#[test]
fn the_only_series_has_the_value() {
    let got = seen(&result(
        "vector",
        r#"[{"metric":{"__name__":"up","job":"bot"},"value":[1767716999.781,"0.5"]}]"#,
    ));
    let sample = json!({"value": 0.5, "special": null, "at": 1_767_716_999.781});
    let mut series = sample.clone();
    series["labels"] = json!({"__name__": "up", "job": "bot"});
    series["samples"] = json!([sample]);
    assert_eq!(
        (&got["kind"], &got["value"], &got["series"], &got["count"]),
        (&json!("vector"), &json!(0.5), &json!([series]), &json!(1))
    );
    assert_eq!((&got["error"], &got["text"]), (&json!(null), &json!(null)));
}

#[test]
fn none_and_several_have_no_value() {
    let got = seen(&result("vector", "[]"));
    assert_eq!(
        (&got["kind"], &got["value"], &got["count"], &got["error"]),
        (&json!("vector"), &json!(null), &json!(0), &json!(null))
    );
    let got = seen(&result(
        "vector",
        r#"[{"metric":{"i":"a"},"value":[1,"1"]},{"metric":{"i":"b"},"value":[1,"2e3"]}]"#,
    ));
    assert_eq!((&got["value"], &got["count"]), (&json!(null), &json!(2)));
    assert_eq!(
        (&got["series"][1]["value"], &got["series"][1]["labels"]["i"]),
        (&json!(2000.0), &json!("b"))
    );
}

#[test]
fn what_json_cannot_hold_is_no_number() {
    for (written, special) in [
        ("NaN", "NaN"),
        ("+Inf", "+Inf"),
        ("-Inf", "-Inf"),
        ("1e400", "+Inf"),
    ] {
        let got = seen(&result("scalar", &format!(r#"[1,"{written}"]"#)));
        assert_eq!(
            (&got["kind"], &got["value"], &got["special"], &got["error"]),
            (
                &json!("scalar"),
                &json!(null),
                &json!(special),
                &json!(null)
            )
        );
        let got = seen(&result(
            "vector",
            &format!(r#"[{{"metric":{{}},"value":[1,"{written}"]}}]"#),
        ));
        assert_eq!(
            (&got["value"], &got["special"]),
            (&json!(null), &json!(special))
        );
        assert_eq!(
            (&got["series"][0]["value"], &got["series"][0]["special"]),
            (&json!(null), &json!(special))
        );
    }
    let histogram = r#"[{"metric":{},"histogram":[1,{"count":"3","sum":"5","buckets":[]}]}]"#;
    let got = seen(&result("vector", histogram));
    assert_eq!(
        (&got["value"], &got["special"], &got["count"]),
        (&json!(null), &json!("histogram"), &json!(1))
    );
}

#[test]
fn scalars_strings_and_ranges() {
    let got = seen(&result("scalar", r#"[1435781451.781,"-7"]"#));
    assert_eq!(
        (&got["kind"], &got["value"], &got["series"]),
        (&json!("scalar"), &json!(-7.0), &json!([]))
    );
    let got = seen(&result("string", r#"[1,"foo"]"#));
    assert_eq!(
        (&got["kind"], &got["value"], &got["text"]),
        (&json!("string"), &json!(null), &json!("foo"))
    );
    let got = seen(&result(
        "matrix",
        r#"[{"metric":{"job":"a"},"values":[[1,"1"],[2,"NaN"],[3,"4"]]}]"#,
    ));
    assert_eq!(
        (&got["kind"], &got["value"], &got["count"]),
        (&json!("matrix"), &json!(null), &json!(1)),
        "a range has no one value"
    );
    let series = &got["series"][0];
    assert_eq!(
        (&series["value"], &series["at"]),
        (&json!(4.0), &json!(3.0))
    );
    assert_eq!(
        series["samples"][1],
        json!({"value": null, "special": "NaN", "at": 2.0})
    );
}

#[test]
fn the_server_says_what_is_wrong() {
    let body = r#"{"status":"error","errorType":"bad_data","error":"1:4: parse error"}"#;
    for status in ["400 Bad Request", "200 OK"] {
        let server = server(status, body);
        let got = look(&Bench::new(), json!({"url": at(&server), "query": "up{"}));
        assert_eq!(
            (&got["sent"], &got["error"], &got["kind"]),
            (
                &json!(true),
                &json!("bad_data: 1:4: parse error"),
                &json!(null)
            )
        );
    }
    let body = r#"{"status":"success","warnings":["a store is away"],"data":{"resultType":"vector","result":[]}}"#;
    let got = seen(body);
    assert_eq!(
        (&got["warnings"], &got["error"]),
        (&json!(["a store is away"]), &json!(null))
    );
}

#[test]
fn what_is_no_answer_is_an_error_and_no_value() {
    let fine = result("scalar", r#"[1,"1"]"#);
    for (status, body, said) in [
        ("502 Bad Gateway", "<html>", "answered 502"),
        (
            "503 Busy",
            fine.as_str(),
            "answered 503 with the status `success`",
        ),
        (
            "200 OK",
            "hello",
            "the answer is not that of Prometheus: expected",
        ),
        ("200 OK", "[]", "the answer is not that of Prometheus: "),
        (
            "200 OK",
            "{\"status\":\"success\"}",
            "answered 200 with the status `success`",
        ),
        (
            "200 OK",
            &result("cube", "[]"),
            "the answer is of an unknown kind, `cube`",
        ),
        (
            "200 OK",
            &result("scalar", "[1,2]"),
            "the answer is not that of Prometheus: ",
        ),
        (
            "200 OK",
            &result("scalar", r#"[1,"many"]"#),
            "`many` is no number",
        ),
        (
            "200 OK",
            &result("vector", r#"[{"metric":{}}]"#),
            "a series has no value",
        ),
    ] {
        let server = server(status, body);
        let got = look(&Bench::new(), json!({"url": at(&server), "query": "1"}));
        let error = got["error"].as_str().expect("an error");
        assert!(error.starts_with(said), "{body}: {error}");
        assert_eq!(
            (&got["sent"], &got["value"], &got["series"]),
            (&json!(true), &json!(null), &json!([])),
            "{body}"
        );
    }
    let elsewhere =
        Server::http(|_| answer("302 Found", "Location: /prom/api/v1/query?query=x\r\n", ""));
    let got = look(&Bench::new(), json!({"url": at(&elsewhere), "query": "x"}));
    assert_eq!(
        got["error"],
        "answered 302: it has gone to /prom/api/v1/query"
    );
    assert_eq!(elsewhere.finish().len(), 1, "it is not followed");
}

#[test]
fn a_part_is_never_taken_for_the_whole() {
    let series = |count: usize| {
        let one = r#"{"metric":{},"value":[1,"1"]}"#;
        result("vector", &format!("[{}]", vec![one; count].join(",")))
    };
    let got = seen(&series(3));
    assert_eq!((&got["count"], &got["error"]), (&json!(3), &json!(null)));
    let got = seen(&series(4));
    assert_eq!(
        (&got["count"], &got["series"], &got["error"]),
        (
            &json!(4),
            &json!([]),
            &json!("the answer has 4 series, more than 3 (`max_series`)")
        )
    );
    let server = server("200 OK", &series(100));
    let rule = json!({"url": at(&server), "query": "up", "max_body": "1 kB"});
    let got = look(&Bench::new(), rule);
    assert_eq!(
        (&got["count"], &got["error"]),
        (
            &json!(0),
            &json!("the answer is larger than 1000 bytes (`max_body`)")
        )
    );
}

#[test]
fn what_is_not_configured_or_not_allowed_is_not_sent() {
    let server = server("200 OK", &result("vector", "[]"));
    let at = at(&server);
    for (rule, said) in [
        (
            json!({"url": "${env(\"HOST\")}", "query": "up"}),
            "not configured",
        ),
        (
            json!({"url": at, "query": "up{a=\"${env(\"HOST\")}\"}"}),
            "not configured",
        ),
        (
            json!({"url": at, "query": "up", "time": "${env(\"HOST\")}"}),
            "not configured",
        ),
        (
            json!({"url": at, "query": "up", "time": "${\"noon\"}"}),
            "`noon` is no instant: write epoch seconds, or ISO 8601 with zone",
        ),
        (
            json!({"url": format!("${{\"{at}/?x=1\"}}"), "query": "up"}),
            "the URL of a server ends with its path: the query stands under `query`",
        ),
        (
            json!({"url": "${\"http://10.0.0.1:9090\"}", "query": "up"}),
            "10.0.0.1:9090 is not allowed by `allow: { reach: [...] }` of homeostat.yaml",
        ),
    ] {
        let got = look(&Bench::new(), rule);
        assert_eq!(
            (&got["sent"], &got["error"], &got["latency_ms"]),
            (&json!(false), &json!(said), &json!(null))
        );
    }
    assert_eq!(server.finish(), [""; 0]);
}

#[test]
fn nobody_there_is_an_error() {
    let gone = at(&server("200 OK", ""));
    let got = look(
        &Bench::new().with_env("KEY", SECRET),
        json!({"url": gone, "query": "up{key=\"${env(\"KEY\")}\"}"}),
    );
    let error = got["error"].as_str().expect("an error");
    assert!(
        error.contains("refused") && !error.contains(SECRET),
        "{error}"
    );
    assert_eq!((&got["sent"], &got["code"]), (&json!(true), &json!(null)));
}

#[test]
fn mistakes_are_found_at_load() {
    let bench = Bench::new();
    let url = "http://127.0.0.1:9090";
    for (rule, codes) in [
        (json!({"url": url}), &["missing-key"][..]),
        (json!({"url": url, "query": " "}), &["bad-value"]),
        (json!({"url": "nonsense", "query": "up"}), &["bad-value"]),
        (
            json!({"url": format!("{url}/?a=b"), "query": "up"}),
            &["bad-value"],
        ),
        (
            json!({"url": format!("{url}/api/v1/query"), "query": "up"}),
            &["bad-value"],
        ),
        (
            json!({"url": "http://prom.example.net", "query": "up"}),
            &["not-allowed"],
        ),
        (
            json!({"url": url, "query": "up", "method": "PUT"}),
            &["bad-value"],
        ),
        (
            json!({"url": url, "query": "up", "time": "noon"}),
            &["bad-value"],
        ),
        (
            json!({"url": url, "query": "up", "max_series": 0}),
            &["bad-value"],
        ),
        (
            json!({"url": url, "query": "up", "max_series": 10_001}),
            &["bad-value"],
        ),
        (
            json!({"url": url, "query": "up", "timeout": "0s"}),
            &["bad-value"],
        ),
        (
            json!({"url": url, "query": "${vars.nme}"}),
            &["unknown-property"],
        ),
        (
            json!({"url": url, "query": "up", "quary": 1}),
            &["unknown-key"],
        ),
    ] {
        assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
    }
}
