//! A value of PostgreSQL as JSON, and an argument the other way.
//!
//! Values come in the binary format of each type (<https://www.postgresql.org/docs/current/datatype.html>, the `send`
//! functions of the server); of a type that is not known here the error says how to cast it. Arguments go as texts, which
//! the server reads as it would read them in a query.

use std::{
    error::Error,
    net::{Ipv4Addr, Ipv6Addr},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::Value;
use tokio_postgres::types::{
    Format, FromSql, IsNull, Kind, ToSql, Type, private::BytesMut, to_sql_checked,
};

use super::table::{decimal, real};

/// A value that came.
#[derive(Debug, PartialEq)]
pub struct Cell(pub Value);

type Read<T> = Result<T, Box<dyn Error + Sync + Send>>;

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Read<Cell> {
        value(kind, raw).map(Cell)
    }

    fn from_sql_null(_: &Type) -> Read<Cell> {
        Ok(Cell(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn value(kind: &Type, raw: &[u8]) -> Read<Value> {
    match kind.kind() {
        Kind::Domain(inner) => return value(inner, raw),
        Kind::Enum(_) => return text(raw),
        Kind::Array(_) => {
            let cells = Vec::<Cell>::from_sql(kind, raw)?;
            return Ok(cells.into_iter().map(|Cell(value)| value).collect());
        }
        _ => {}
    }
    Ok(match *kind {
        Type::BOOL => bool::from_sql(kind, raw)?.into(),
        Type::INT2 => i16::from_sql(kind, raw)?.into(),
        Type::INT4 => i32::from_sql(kind, raw)?.into(),
        Type::INT8 => i64::from_sql(kind, raw)?.into(),
        Type::OID | Type::XID | Type::CID => u32::from_be_bytes(raw.try_into()?).into(),
        Type::FLOAT4 => {
            let number = f32::from_sql(kind, raw)?;
            // by way of its text, so that 0.1 stays 0.1
            real(number.to_string().parse()?)
        }
        Type::FLOAT8 => real(f64::from_sql(kind, raw)?),
        Type::NUMERIC => decimal(numeric(raw)?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::XML => {
            text(raw)?
        }
        Type::CHAR => text(raw)?,
        Type::BYTEA => BASE64_STANDARD.encode(raw).into(),
        Type::JSON => serde_json::from_slice(raw)?,
        Type::JSONB => Value::from_sql(kind, raw)?,
        Type::TIMESTAMPTZ => match endless(&raw.try_into().map(i64::from_be_bytes)?) {
            Some(word) => word.into(),
            None => {
                let at = DateTime::<Utc>::from_sql(kind, raw)?;
                at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
            }
        },
        Type::TIMESTAMP => match endless(&raw.try_into().map(i64::from_be_bytes)?) {
            Some(word) => word.into(),
            None => {
                let at = NaiveDateTime::from_sql(kind, raw)?;
                at.format("%Y-%m-%dT%H:%M:%S%.f").to_string().into()
            }
        },
        Type::DATE => match raw.try_into().map(i32::from_be_bytes)? {
            i32::MAX => "infinity".into(),
            i32::MIN => "-infinity".into(),
            _ => NaiveDate::from_sql(kind, raw)?.to_string().into(),
        },
        Type::TIME => {
            let at = NaiveTime::from_sql(kind, raw)?;
            at.format("%H:%M:%S%.f").to_string().into()
        }
        Type::INTERVAL => interval(raw)?,
        Type::UUID => uuid(raw.try_into()?).into(),
        Type::INET | Type::CIDR => address(raw)?.into(),
        Type::PG_LSN => {
            let at = u64::from_be_bytes(raw.try_into()?);
            format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff).into()
        }
        Type::VOID => Value::Null,
        // of an extension, and sent as the text it is
        ref other if other.name() == "citext" => text(raw)?,
        ref other => {
            let name = other.name();
            return Err(format!("`{name}` is not known here: cast it, say to text").into());
        }
    })
}

fn text(raw: &[u8]) -> Read<Value> {
    Ok(std::str::from_utf8(raw)?.into())
}

/// Instants that never come.
fn endless(microseconds: &i64) -> Option<&'static str> {
    match *microseconds {
        i64::MAX => Some("infinity"),
        i64::MIN => Some("-infinity"),
        _ => None,
    }
}

/// The 16-bit number at a place.
fn short(raw: &[u8], at: usize) -> Read<u16> {
    let bytes = raw.get(at..at + 2).ok_or("it ends early")?;
    Ok(u16::from_be_bytes(bytes.try_into()?))
}

/// A decimal number: count of digits, weight of the first, sign, digits behind the point; then digits to the base 10000.
fn numeric(raw: &[u8]) -> Read<String> {
    let count = usize::from(short(raw, 0)?);
    let weight = i32::from(short(raw, 2)? as i16);
    let sign = match short(raw, 4)? {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        other => return Err(format!("a numeric has the sign {other:x}").into()),
    };
    let scale = usize::from(short(raw, 6)?);
    let digit = |power: i32| -> Read<u16> {
        let index = usize::try_from(weight - power).ok();
        match index.filter(|index| *index < count) {
            Some(index) => short(raw, 8 + 2 * index),
            None => Ok(0),
        }
    };
    let mut whole = String::new();
    for power in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", digit(power)?));
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let mut behind = String::new();
    let mut power = -1;
    while behind.len() < scale {
        behind.push_str(&format!("{:04}", digit(power)?));
        power -= 1;
    }
    behind.truncate(scale);
    Ok(match behind.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{behind}"),
    })
}

/// Seconds; a day has 86400 of them. How long a month is depends on which.
fn interval(raw: &[u8]) -> Read<Value> {
    let part = |from: usize, to: usize| raw.get(from..to).ok_or("it ends early");
    let microseconds = i64::from_be_bytes(part(0, 8)?.try_into()?);
    let days = i32::from_be_bytes(part(8, 12)?.try_into()?);
    let months = i32::from_be_bytes(part(12, 16)?.try_into()?);
    if months != 0 {
        return Err(
            "an interval with months has no fixed length: write extract(epoch FROM …)".into(),
        );
    }
    Ok(real(f64::from(days) * 86_400.0 + microseconds as f64 / 1e6))
}

fn uuid(bytes: [u8; 16]) -> String {
    let whole = u128::from_be_bytes(bytes);
    let text = format!("{whole:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts
        .map(|part| text.get(part).unwrap_or_default())
        .join("-")
}

/// Family, length of the prefix, whether it is a network, length of the address; then the address.
fn address(raw: &[u8]) -> Read<String> {
    let [_, prefix, is_net, _, address @ ..] = raw else {
        return Err("an address ends early".into());
    };
    let (text, whole) = match address.len() {
        4 => (
            Ipv4Addr::from(<[u8; 4]>::try_from(address)?).to_string(),
            32,
        ),
        16 => (
            Ipv6Addr::from(<[u8; 16]>::try_from(address)?).to_string(),
            128,
        ),
        other => return Err(format!("an address of {other} bytes").into()),
    };
    Ok(match (*is_net, *prefix) {
        (0, prefix) if prefix == whole => text,
        (_, prefix) => format!("{text}/{prefix}"),
    })
}

/// An argument that goes.
#[derive(Debug)]
pub struct Arg<'a>(pub &'a Value);

impl ToSql for Arg<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Read<IsNull> {
        let text = match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(kind: Type, raw: &[u8]) -> Value {
        let Cell(value) = Cell::from_sql(&kind, raw).expect("understood");
        value
    }

    fn wrong(kind: Type, raw: &[u8]) -> String {
        Cell::from_sql(&kind, raw)
            .expect_err("not understood")
            .to_string()
    }

    /// Digits to the base 10000 with weight, sign and scale.
    fn number(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight as u16, sign, scale];
        let all = head.iter().chain(digits);
        all.flat_map(|it| it.to_be_bytes()).collect()
    }

    #[test]
    fn plain_values() {
        assert_eq!(seen(Type::BOOL, &[1]), json!(true));
        assert_eq!(seen(Type::INT2, &[0xff, 0xfe]), json!(-2));
        assert_eq!(seen(Type::INT4, &7_i32.to_be_bytes()), json!(7));
        assert_eq!(seen(Type::INT8, &i64::MIN.to_be_bytes()), json!(i64::MIN));
        assert_eq!(seen(Type::OID, &u32::MAX.to_be_bytes()), json!(u32::MAX));
        assert_eq!(seen(Type::FLOAT4, &0.1_f32.to_be_bytes()), json!(0.1));
        assert_eq!(seen(Type::FLOAT8, &2.5_f64.to_be_bytes()), json!(2.5));
        for (number, word) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(seen(Type::FLOAT8, &number.to_be_bytes()), json!(word));
            let small = number as f32;
            assert_eq!(seen(Type::FLOAT4, &small.to_be_bytes()), json!(word));
        }
        assert_eq!(seen(Type::VARCHAR, "ü".as_bytes()), json!("ü"));
        assert_eq!(seen(Type::BYTEA, &[0, 255]), json!("AP8="));
        assert_eq!(seen(Type::JSON, b"{\"a\": [1]}"), json!({"a": [1]}));
        assert_eq!(seen(Type::JSONB, b"\x01[true]"), json!([true]));
        assert_eq!(
            seen(Type::UUID, &(0..16).collect::<Vec<u8>>()),
            json!("00010203-0405-0607-0809-0a0b0c0d0e0f")
        );
        assert_eq!(
            seen(Type::PG_LSN, &0x16_B374_D848_u64.to_be_bytes()),
            json!("16/B374D848")
        );
        assert_eq!(
            Cell::from_sql_null(&Type::INT4).expect("()"),
            Cell(Value::Null)
        );
    }

    #[test]
    fn decimal_numbers() {
        for (raw, value) in [
            (number(0, 0, 0, &[]), json!(0)),
            (number(0, 0, 0, &[42]), json!(42)),
            (number(1, 0x4000, 0, &[1, 2]), json!(-10002)),
            (number(2, 0, 0, &[5]), json!(500_000_000)),
            (number(0, 0, 2, &[1, 5000]), json!(1.5)),
            (number(-1, 0, 5, &[12, 3000]), json!(0.00123)),
            (number(-2, 0, 8, &[1]), json!(0.000_000_01)),
            (
                number(5, 0, 0, &[1, 0, 0, 0, 0, 1]),
                json!("100000000000000000001"),
            ),
            (number(0, 0xC000, 0, &[]), json!("NaN")),
            (number(0, 0xD000, 0, &[]), json!("Infinity")),
            (number(0, 0xF000, 0, &[]), json!("-Infinity")),
        ] {
            assert_eq!(seen(Type::NUMERIC, &raw), value);
        }
        assert_eq!(wrong(Type::NUMERIC, &[0, 1]), "it ends early");
        assert!(wrong(Type::NUMERIC, &number(0, 7, 0, &[])).contains("the sign 7"));
        assert_eq!(
            wrong(Type::NUMERIC, &number(0, 0, 0, &[1])[..8]),
            "it ends early"
        );
    }

    #[test]
    fn times() {
        // 2026-01-06T16:30:00.5Z, counted from 2000
        let at = (1_767_717_000_500_000_i64 - 946_684_800_000_000).to_be_bytes();
        assert_eq!(
            seen(Type::TIMESTAMPTZ, &at),
            json!("2026-01-06T16:30:00.500Z")
        );
        assert_eq!(seen(Type::TIMESTAMP, &at), json!("2026-01-06T16:30:00.500"));
        assert_eq!(
            seen(Type::TIMESTAMPTZ, &i64::MAX.to_be_bytes()),
            json!("infinity")
        );
        assert_eq!(
            seen(Type::TIMESTAMP, &i64::MIN.to_be_bytes()),
            json!("-infinity")
        );
        assert_eq!(
            seen(Type::DATE, &9502_i32.to_be_bytes()),
            json!("2026-01-06")
        );
        assert_eq!(seen(Type::DATE, &i32::MAX.to_be_bytes()), json!("infinity"));
        let noon = (12 * 3_600_000_000_i64).to_be_bytes();
        assert_eq!(seen(Type::TIME, &noon), json!("12:00:00"));
        let interval = |microseconds: i64, days: i32, months: i32| {
            let mut raw = microseconds.to_be_bytes().to_vec();
            raw.extend(days.to_be_bytes());
            raw.extend(months.to_be_bytes());
            raw
        };
        assert_eq!(
            seen(Type::INTERVAL, &interval(1_500_000, 1, 0)),
            json!(86_401.5)
        );
        assert!(wrong(Type::INTERVAL, &interval(0, 0, 1)).contains("extract(epoch"));
        // the year 300000 is beyond what can be told
        assert!(!wrong(Type::TIMESTAMPTZ, &(i64::MAX - 1).to_be_bytes()).is_empty());
    }

    #[test]
    fn addresses() {
        assert_eq!(
            seen(Type::INET, &[2, 32, 0, 4, 127, 0, 0, 1]),
            json!("127.0.0.1")
        );
        assert_eq!(
            seen(Type::CIDR, &[2, 8, 1, 4, 10, 0, 0, 0]),
            json!("10.0.0.0/8")
        );
        let mut v6 = vec![3, 128, 0, 16];
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        assert_eq!(seen(Type::INET, &v6), json!("::1"));
        assert_eq!(wrong(Type::INET, &[2, 32]), "an address ends early");
    }

    #[test]
    fn lists_and_what_is_not_known() {
        // one dimension, with a NULL, of int4: 1, NULL
        let mut raw = Vec::new();
        for part in [1_i32, 1, 23, 2, 1, 4, 1, -1] {
            raw.extend(part.to_be_bytes());
        }
        assert_eq!(seen(Type::INT4_ARRAY, &raw), json!([1, null]));
        assert_eq!(
            wrong(Type::MONEY, &[0; 8]),
            "`money` is not known here: cast it, say to text"
        );
        assert!(wrong(Type::TEXT, &[0xff]).contains("utf-8"));
        assert!(!wrong(Type::INT4, &[1]).is_empty());
    }

    #[test]
    fn arguments_go_as_texts() {
        for (value, said) in [
            (json!(5), Some("5")),
            (json!(true), Some("true")),
            (json!("it's"), Some("it's")),
            (json!({"a": 1}), Some("{\"a\":1}")),
            (json!(null), None),
        ] {
            let mut out = BytesMut::new();
            let null = Arg(&value).to_sql(&Type::INT4, &mut out).expect("it goes");
            let text = std::str::from_utf8(&out).expect("a text");
            assert_eq!(matches!(null, IsNull::No).then_some(text), said);
            assert!(matches!(
                Arg(&value).encode_format(&Type::INT4),
                Format::Text
            ));
        }
    }
}
