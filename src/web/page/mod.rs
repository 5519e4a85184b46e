//! The page: what an operator sees in a browser. HTML, CSS and JavaScript that are part of the binary, served as they are.
//!
//! | file | is |
//! |---|---|
//! | `index.html`, `icon.svg` | the frame |
//! | `style/` | how it looks: the frame and colours, small parts, single views |
//! | `script/main.js` | begins: the address decides the view, the stream when it is read anew |
//! | `script/views/` | one file a view |
//! | `script/dom.js` | how plain values become elements: texts only ever become text |
//!
//! No build step, nothing from elsewhere. The views are told apart by the fragment of the address, so no other path needs
//! an answer. Nothing here is secret: everything that is comes through the API, with its own rules.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

use super::refusal::Refusal;

/// Nothing runs, looks or leads anywhere but what is served here: whatever gets into the page as text stays text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

macro_rules! assets {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!($path))),*]
    };
}

/// By their path below `/assets/`.
const ASSETS: &[(&str, &str)] = assets![
    "icon.svg",
    "index.html",
    "script/actions.js",
    "script/ask.js",
    "script/charts.js",
    "script/dialogs.js",
    "script/dom.js",
    "script/editor.js",
    "script/keys.js",
    "script/main.js",
    "script/parts.js",
    "script/shell.js",
    "script/stream.js",
    "script/theme.js",
    "script/time.js",
    "script/tree.js",
    "script/views/approvals.js",
    "script/views/check.js",
    "script/views/fixes.js",
    "script/views/incidents.js",
    "script/views/ledger.js",
    "script/views/monitoring.js",
    "script/views/overview.js",
    "script/views/playground.js",
    "script/views/rules.js",
    "script/yaml.js",
    "style/base.css",
    "style/parts.css",
    "style/views.css",
];

/// What is served at `/`.
const INDEX: &str = "index.html";

struct Asset {
    text: &'static str,
    kind: &'static str,
    tag: HeaderValue,
}

static KNOWN: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    let asset = |(path, text): &(&'static str, &'static str)| {
        let tag = tag(text);
        let kind = kind(path);
        (*path, Asset { text, kind, tag })
    };
    ASSETS.iter().map(asset).collect()
});

/// `/` and `/assets/…`, for whatever else is served beside them.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { serve(INDEX, &headers) }))
        .route(
            "/assets/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { serve(&path, &headers) }),
        )
}

fn serve(path: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = KNOWN.get(path) else {
        return Refusal::absent("there is nothing of that name").into_response();
    };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Asked for anew every time, and answered with 304: another version of the engine brings another page.
        (header::CACHE_CONTROL, "no-cache"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|tags| has(tags, &asset.tag));
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, asset.kind)], asset.text).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, asset.tag.clone());
    response
}

/// Whether a list of entity tags has this one, weak or not.
fn has(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(list), Ok(tag)) = (list.to_str(), tag.to_str()) else {
        return false;
    };
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn tag(text: &str) -> HeaderValue {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // Quotes and hex digits are a header value.
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use axum::{
        body::Bytes,
        http::{Request, request::Builder},
    };
    use http_body_util::{BodyExt, Empty};
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use regex::Regex;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn files(directory: &str) -> Vec<String> {
        let root = PathBuf::from("src/web/page");
        let mut found = Vec::new();
        for entry in fs::read_dir(root.join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{directory}{name}");
            if root.join(&path).is_dir() {
                found.extend(files(&format!("{path}/")));
            } else if path != "mod.rs" {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_file_is_served_and_nothing_else() {
        let listed: Vec<&str> = ASSETS.iter().map(|(path, _)| *path).collect();
        assert_eq!(listed, files(""));
    }

    #[test]
    fn what_files_name_is_there() {
        let named = Regex::new(r#"(?:from |import |href=|src=)"(\.[^"]*|/assets/[^"]*)""#).unwrap();
        let mut names = 0;
        for (path, text) in ASSETS {
            for found in named.captures_iter(text) {
                let wanted = match found[1].strip_prefix("/assets/") {
                    Some(path) => path.to_owned(),
                    None => joined(path, &found[1]),
                };
                assert!(KNOWN.contains_key(&*wanted), "{path} names {wanted}");
                names += 1;
            }
        }
        assert!(names > 40, "the pattern finds what files name");
    }

    fn joined(from: &str, relative: &str) -> String {
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        for part in relative.split('/') {
            match part {
                "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    /// The policy would stop most of it in a browser; here it is stopped before.
    #[test]
    fn no_text_becomes_markup_and_nothing_comes_from_elsewhere() {
        let forbidden = Regex::new(
            r#"(?i)innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc=|DOMParser|createContextualFragment|<style|style=|\son[a-z]+=|javascript:|https?://|@import|url\("#,
        )
        .unwrap();
        for (path, text) in ASSETS {
            // The name of a namespace is no address.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for line in text.lines() {
                assert!(!forbidden.is_match(line), "{path}: {line}");
            }
        }
    }

    async fn ask(request: Builder) -> (StatusCode, HeaderMap, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router::<()>()).await });
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = request.header(header::HOST, "localhost");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        server.abort();
        (
            parts.status,
            parts.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn it_is_served_with_its_policy_and_once_only() {
        let (status, headers, body) = ask(Request::get("/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], POLICY);
        assert!(!POLICY.contains("unsafe"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(body.contains("<main"));

        let tag = headers[header::ETAG].clone();
        let again = Request::get("/").header(header::IF_NONE_MATCH, &tag);
        let (status, headers, body) = ask(again).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(headers[header::ETAG], tag);

        let other = Request::get("/").header(header::IF_NONE_MATCH, "\"0000000000000000\"");
        let (status, ..) = ask(other).await;
        assert_eq!(status, StatusCode::OK);
    }

    #[tokio::test]
    async fn scripts_are_scripts_and_nothing_else_is_there() {
        let request = Request::get("/assets/script/views/check.js");
        let (status, headers, _) = ask(request).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "text/javascript; charset=utf-8"
        );
        for path in ["/assets/mod.rs", "/assets/%2e%2e/mod.rs", "/assets/"] {
            let (status, ..) = ask(Request::get(path)).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
