//! Expected texts, in `tests/golden`.
//!
//! `MUSTER_REGENERATE=1` writes them anew; the difference is then read in review.

use std::fs;
use std::path::Path;

/// Compares a text with the expected one of that name.
///
/// # Panics
///
/// If they differ.
#[track_caller]
pub fn same(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let found = normalised(found);
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "`golden/{name}` differs (MUSTER_REGENERATE=1 writes it anew)\n--- expected\n{expected}\n--- found\n{found}"
    );
}

/// The text without what varies: points in time become `2026-01-01T00:00:00`, which is as wide, and numbers of snapshots
/// become `N`.
pub fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut rest = line.trim_end();
        while let Some(place) = timestamp(rest) {
            out.push_str(&rest[..place]);
            out.push_str("2026-01-01T00:00:00");
            rest = &rest[place + 19..];
        }
        out.push_str(rest);
        out.push('\n');
    }
    let mut parts = out.split("snapshot ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("snapshot N");
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

/// Where a text such as `2026-03-02T08:14:07` begins; parts of seconds and the zone stay as they are.
fn timestamp(text: &str) -> Option<usize> {
    const FORM: &[u8; 19] = b"0000-00-00T00:00:00";
    text.as_bytes().windows(FORM.len()).position(|window| {
        window.iter().zip(FORM).all(|(found, form)| if *form == b'0' { found.is_ascii_digit() } else { found == form })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_goes_and_the_rest_stays() {
        assert_eq!(
            normalised("a 2025-03-02T08:14:07Z b 1999-12-31T23:59:59Z  \nsnapshot 17 of 4"),
            "a 2026-01-01T00:00:00Z b 2026-01-01T00:00:00Z\nsnapshot N of 4\n"
        );
    }
}
