//! Any bytes as what a monitoring plugin printed: values that are numbers, bounded in their number, the same twice; and
//! soon, also when the same is printed over and over.

use homeostat::probe::plugin::{MOST_ITEMS, Said, parse};

/// More than this the engine takes of no program.
const LARGEST: usize = 64 << 10;

pub fn run(bytes: &[u8]) {
    let output = String::from_utf8_lossy(bytes);
    let said = parse(&output);
    examine(&said);
    assert_eq!(said, parse(&output), "the same, understood otherwise");
    let first = output.lines().next().unwrap_or_default();
    assert!(
        first.trim_start().starts_with(&said.text),
        "{:?}",
        said.text
    );
    if !output.is_empty() {
        examine(&parse(&output.repeat(LARGEST / output.len().max(64))));
    }
}

fn examine(said: &Said) {
    assert!(!said.text.contains('|') && !said.text.contains('\n'));
    assert!(said.items.len() <= MOST_ITEMS);
    for item in &said.items {
        assert!(
            !item.label.is_empty() && !item.label.contains('\n'),
            "{item:?}"
        );
        let ends = [&item.warn, &item.crit].into_iter().flatten();
        let ends = ends.flat_map(|range| [&range.from, &range.to]);
        let numbers = ends.chain([&item.value, &item.min, &item.max]).flatten();
        for number in numbers {
            assert!(number.as_f64().is_some_and(f64::is_finite), "{item:?}");
        }
    }
    let perf = said.perf();
    let entries = perf.as_object().expect("a map");
    assert!(entries.len() <= said.items.len());
    for item in &said.items {
        assert!(entries.contains_key(&item.label));
    }
}
