//! Metrics as text: OpenMetrics 1.0, or the older text format of Prometheus for whoever asks for that.
//!
//! Families come one after the other, each with its help and its kind, its samples together. The formats differ in how a
//! counter's family is named, in units, and in the end mark.

use std::fmt::Write;

/// The two ways of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Classic,
}

impl Format {
    /// What an `Accept` header asks for; OpenMetrics if it does not say.
    pub fn of(accept: Option<&str>) -> Format {
        let Some(accept) = accept else {
            return Format::OpenMetrics;
        };
        let weight = |kind: &str| {
            let asked = accept.split(',').filter_map(|one| {
                let mut parts = one.split(';').map(str::trim);
                if !parts.next()?.eq_ignore_ascii_case(kind) {
                    return None;
                }
                let weight = parts.find_map(|part| part.strip_prefix("q="));
                weight.map_or(Some(1.0), |weight| weight.trim().parse::<f64>().ok())
            });
            asked.fold(0.0, f64::max)
        };
        match weight("text/plain") > weight("application/openmetrics-text") {
            true => Format::Classic,
            false => Format::OpenMetrics,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// Text being written.
pub struct Exposition {
    format: Format,
    text: String,
}

/// A family being written: its samples follow.
pub struct Family<'a> {
    out: &'a mut Exposition,
    name: &'a str,
    kind: Kind,
}

impl Exposition {
    pub fn new(format: Format) -> Exposition {
        Exposition {
            format,
            text: String::new(),
        }
    }

    /// Begins a family. `name` is that of the family, without `_total` or `_info`; a unit must be its last word.
    pub fn family<'a>(
        &'a mut self,
        name: &'a str,
        kind: Kind,
        unit: Option<&str>,
        help: &str,
    ) -> Family<'a> {
        let open = self.format == Format::OpenMetrics;
        let (shown, word) = match (open, kind) {
            (true, Kind::Counter) => (name.to_owned(), "counter"),
            (false, Kind::Counter) => (format!("{name}_total"), "counter"),
            (_, Kind::Gauge) => (name.to_owned(), "gauge"),
            (_, Kind::Histogram) => (name.to_owned(), "histogram"),
            (true, Kind::Info) => (name.to_owned(), "info"),
            (false, Kind::Info) => (format!("{name}_info"), "gauge"),
        };
        // Writing to memory does not fail.
        let _ = writeln!(self.text, "# TYPE {shown} {word}");
        if let (true, Some(unit)) = (open, unit) {
            debug_assert!(
                name.ends_with(&format!("_{unit}")),
                "{name} has no unit {unit}"
            );
            let _ = writeln!(self.text, "# UNIT {shown} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {shown} {}", escaped(help, open));
        Family {
            out: self,
            name,
            kind,
        }
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Family<'_> {
    /// One sample of a counter, a gauge, or an info (then 1).
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.line(suffix, labels, value);
    }

    /// A histogram: how many fell into each class by its upper bound, and into none of them.
    pub fn histogram(&mut self, bounds: &[f64], counts: &[u64], sum: f64) {
        let mut below = 0;
        for (at, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds
                .get(at)
                .map_or("+Inf".to_owned(), |bound| real(*bound));
            self.line("_bucket", &[("le", &bound)], below as f64);
        }
        self.line("_sum", &[], sum);
        self.line("_count", &[], below as f64);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let text = &mut self.out.text;
        text.push_str(self.name);
        text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            text.push_str(&escaped(value, true));
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        text.push(' ');
        text.push_str(&number(value));
        text.push('\n');
    }
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match value.is_nan() {
        true => "NaN".to_owned(),
        false => value.to_string(),
    }
}

/// The bound of a class is always written as a real.
fn real(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.1}"),
        false => value.to_string(),
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut out = Exposition::new(format);
        let mut looks = out.family("looks", Kind::Counter, None, "Looks \"taken\"\\.");
        looks.sample(&[("check", "a\"b\\c\nd")], 3.0);
        let mut took = out.family("took_seconds", Kind::Histogram, Some("seconds"), "Time.");
        took.histogram(&[0.5, 1.0], &[2, 0, 1], 7.25);
        out.family("build", Kind::Info, None, "Of the program.")
            .sample(&[("version", "1")], 1.0);
        out.finish()
    }

    #[test]
    fn openmetrics_ends_with_its_mark() {
        insta::assert_snapshot!(written(Format::OpenMetrics), @r#"
        # TYPE looks counter
        # HELP looks Looks \"taken\"\\.
        looks_total{check="a\"b\\c\nd"} 3
        # TYPE took_seconds histogram
        # UNIT took_seconds seconds
        # HELP took_seconds Time.
        took_seconds_bucket{le="0.5"} 2
        took_seconds_bucket{le="1.0"} 2
        took_seconds_bucket{le="+Inf"} 3
        took_seconds_sum 7.25
        took_seconds_count 3
        # TYPE build info
        # HELP build Of the program.
        build_info{version="1"} 1
        # EOF
        "#);
    }

    #[test]
    fn the_older_format_has_neither_units_nor_an_end() {
        insta::assert_snapshot!(written(Format::Classic), @r#"
        # TYPE looks_total counter
        # HELP looks_total Looks "taken"\\.
        looks_total{check="a\"b\\c\nd"} 3
        # TYPE took_seconds histogram
        # HELP took_seconds Time.
        took_seconds_bucket{le="0.5"} 2
        took_seconds_bucket{le="1.0"} 2
        took_seconds_bucket{le="+Inf"} 3
        took_seconds_sum 7.25
        took_seconds_count 3
        # TYPE build_info gauge
        # HELP build_info Of the program.
        build_info{version="1"} 1
        "#);
    }

    #[test]
    fn who_asks_for_the_older_format_gets_it() {
        let open = [
            None,
            Some("*/*"),
            Some("text/html"),
            Some("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"),
        ];
        assert!(
            open.into_iter()
                .all(|accept| Format::of(accept) == Format::OpenMetrics)
        );
        let classic = [
            "text/plain",
            "text/plain;version=0.0.4;q=0.5, */*;q=0.1",
            "application/openmetrics-text;q=0.2,text/plain;q=0.5",
        ];
        assert!(
            classic
                .into_iter()
                .all(|accept| Format::of(Some(accept)) == Format::Classic)
        );
    }
}
