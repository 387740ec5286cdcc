//! A fact, field by field, as people read it: what both programs show when they explain a verdict.
//!
//! The names are the vocabulary's own, taken from how a fact is serialised, so that a new field shows without anybody
//! remembering it here. How deep a fact goes and how much it holds is bounded by the vocabulary; what is shown of a long
//! list is bounded here.

use serde::Serialize;
use serde_json::Value;

/// Items of a list that are spelt out.
const ITEMS_SHOWN: usize = 12;

/// The fields of a fact with their values, in order. A fact without fields has one, without a name.
pub fn fields(fact: &impl Serialize) -> Vec<(String, String)> {
    match serde_json::to_value(fact) {
        Ok(value) => of_value(&value),
        Err(error) => vec![(String::new(), format!("cannot be shown: {error}"))],
    }
}

/// The same of a fact that is a value already.
pub fn of_value(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, name: String, found: &mut Vec<(String, String)>) {
    let inner = |part: &str| {
        let part = part.replace(['_', '-'], " ");
        if name.is_empty() { part } else { format!("{name}, {part}") }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (part, value) in fields {
                collect(value, inner(part), found);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (place, item) in items.iter().take(ITEMS_SHOWN).enumerate() {
                collect(item, inner(&(place + 1).to_string()), found);
            }
            if items.len() > ITEMS_SHOWN {
                found.push((name, format!("and {} more", items.len() - ITEMS_SHOWN)));
            }
        }
        Value::Array(items) => found.push((name, list(items))),
        Value::Object(_) => found.push((name, "nothing".to_owned())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push((name, scalar(value))),
    }
}

fn list(items: &[Value]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    let mut text = items.iter().take(ITEMS_SHOWN).map(scalar).collect::<Vec<_>>().join(", ");
    if items.len() > ITEMS_SHOWN {
        text = format!("{text} and {} more", items.len() - ITEMS_SHOWN);
    }
    text
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "not known".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_has_a_line() {
        let fact = json!({
            "azure_ad_joined": "not-shown",
            "domain": { "name": "CORP", "software": "windows" },
            "tenant_id": null,
            "forced": true,
            "points": [{ "url": "http://pki.corp.example/a.crl", "delta": false }],
            "thumbprints": [],
            "numbers": [1, 2],
        });
        let lines: Vec<String> = fields(&fact).into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        assert_eq!(
            lines,
            [
                "azure ad joined = not-shown",
                "domain, name = CORP",
                "domain, software = windows",
                "forced = yes",
                "numbers = 1, 2",
                "points, 1, delta = no",
                "points, 1, url = http://pki.corp.example/a.crl",
                "tenant id = not known",
                "thumbprints = none",
            ]
        );
        assert_eq!(fields(&"absent"), [(String::new(), "absent".to_owned())]);
        assert_eq!(fields(&json!({})), [(String::new(), "nothing".to_owned())]);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let numbers: Vec<u8> = (0..14).collect();
        assert_eq!(fields(&numbers)[0].1, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more");
        let objects = vec![json!({ "id": 358 }); 14];
        let shown = fields(&objects);
        assert_eq!((shown.len(), shown[12].1.as_str()), (13, "and 2 more"));
    }
}
