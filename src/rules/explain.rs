//! stub
pub fn explain(_: &str) -> Option<&'static str> {
    None
}
