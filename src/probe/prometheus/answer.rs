//! What the API of Prometheus answers, taken apart.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::facts::Facts;

/// What the API answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    pub status: String,
    pub data: Option<Data>,
    pub error_type: Option<String>,
    pub error: Option<String>,
    pub warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    result_type: String,
    result: Value,
}

/// Epoch seconds, and a number as text.
type Written = (f64, String);

#[derive(Deserialize)]
struct WrittenSeries {
    metric: BTreeMap<String, String>,
    value: Option<Written>,
    values: Option<Vec<Written>>,
    histogram: Option<(f64, Value)>,
    histograms: Option<Vec<(f64, Value)>>,
}

/// What a query gave.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
    Scalar(Sample),
    String(String),
}

impl Outcome {
    pub fn kind(&self) -> &'static str {
        match self {
            Outcome::Vector(_) => "vector",
            Outcome::Matrix(_) => "matrix",
            Outcome::Scalar(_) => "scalar",
            Outcome::String(_) => "string",
        }
    }
}

#[derive(Debug, PartialEq)]
pub struct Series {
    labels: BTreeMap<String, String>,
    pub last: Sample,
    samples: Vec<Sample>,
}

/// A number at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    at: f64,
    value: Option<f64>,
    /// Why there is no value.
    special: Option<&'static str>,
}

impl Sample {
    fn read((at, written): Written) -> Result<Sample, String> {
        let wrong = || format!("`{written}` is no number");
        let number: f64 = written.parse().map_err(|_| wrong())?;
        let special = match number {
            nan if nan.is_nan() => Some("NaN"),
            f64::INFINITY => Some("+Inf"),
            f64::NEG_INFINITY => Some("-Inf"),
            _ => None,
        };
        Ok(Sample {
            at,
            value: special.is_none().then_some(number),
            special,
        })
    }

    fn of_histogram((at, _): (f64, Value)) -> Sample {
        Sample {
            at,
            value: None,
            special: Some("histogram"),
        }
    }

    pub fn tell(&self, facts: &mut Facts) {
        facts.set("value", self.value);
        facts.set("special", self.special);
    }

    fn json(&self) -> Map<String, Value> {
        [
            ("value".to_owned(), self.value.into()),
            ("special".to_owned(), self.special.into()),
            ("at".to_owned(), self.at.into()),
        ]
        .into_iter()
        .collect()
    }
}

impl Series {
    fn read(written: WrittenSeries) -> Result<Series, String> {
        let mut samples: Vec<Sample> = written
            .value
            .into_iter()
            .chain(written.values.unwrap_or_default())
            .map(Sample::read)
            .collect::<Result<_, _>>()?;
        let histograms = written
            .histogram
            .into_iter()
            .chain(written.histograms.unwrap_or_default());
        samples.extend(histograms.map(Sample::of_histogram));
        samples.sort_by(|a, b| a.at.total_cmp(&b.at));
        let last = samples.last().cloned();
        Ok(Series {
            labels: written.metric,
            last: last.ok_or("a series has no value")?,
            samples,
        })
    }

    pub fn into_json(self) -> Value {
        let mut series = self.last.json();
        series.insert("labels".to_owned(), json!(self.labels));
        let samples = self.samples.iter().map(|it| Value::Object(it.json()));
        series.insert("samples".to_owned(), samples.collect());
        Value::Object(series)
    }
}

/// Takes the data of an answer apart; the error says why that cannot be.
pub fn read(data: Data) -> Result<Outcome, String> {
    let wrong = |error: serde_json::Error| format!("the answer is not that of Prometheus: {error}");
    let series = |result: Value| -> Result<Vec<Series>, String> {
        let all: Vec<WrittenSeries> = serde_json::from_value(result).map_err(wrong)?;
        all.into_iter().map(Series::read).collect()
    };
    match data.result_type.as_str() {
        "vector" => series(data.result).map(Outcome::Vector),
        "matrix" => series(data.result).map(Outcome::Matrix),
        "scalar" => {
            let written = serde_json::from_value(data.result).map_err(wrong)?;
            Sample::read(written).map(Outcome::Scalar)
        }
        "string" => {
            let (_, text): Written = serde_json::from_value(data.result).map_err(wrong)?;
            Ok(Outcome::String(text))
        }
        other => Err(format!("the answer is of an unknown kind, `{other}`")),
    }
}
