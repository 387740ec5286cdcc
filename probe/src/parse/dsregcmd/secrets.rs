//! Credentials in addresses, taken out before anything is kept.

use std::borrow::Cow;

/// Takes `name:password@` out of every address in a text.
pub(super) fn without_credentials(text: &str) -> Cow<'_, str> {
    // Most values hold no address, and most addresses no credentials.
    if !text.contains("://") || !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        clean.push_str(before);
        // A password may hold any sign but those that end an authority, though people forget to encode them: all up to
        // the last `@` before a blank belongs to it.
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ';' | ','))
            .unwrap_or(after.len());
        let word = &after[..end];
        let authority = word.find(['/', '?', '#']).unwrap_or(word.len());
        let credentials = match word[..authority].rfind('@') {
            Some(at) => Some(at),
            None => word.find('@').filter(|at| is_password(&word[..*at])),
        };
        rest = &after[credentials.map_or(0, |at| at + 1)..];
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Whether what stands before an `@` is `name:password` with a slash in the password, rather than `host:port/path`.
fn is_password(before: &str) -> bool {
    before.split_once(':').is_some_and(|(_, rest)| {
        let port = rest.split('/').next().unwrap_or_default();
        !port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_addresses_stay() {
        for (text, clean) in [
            ("http://ada:hunter2@proxy:8080/x", "http://proxy:8080/x"),
            ("via https://ada@proxy and http://b:c@d@e.example", "via https://proxy and http://e.example"),
            ("http://ada:hun/ter2@proxy:8080", "http://proxy:8080"),
            ("https://login.example/ada@example.com", "https://login.example/ada@example.com"),
            ("https://login.example:443/?u=ada@example.com", "https://login.example:443/?u=ada@example.com"),
            ("http=http://a:b@p:1;https=http://c:d@p:2", "http=http://p:1;https=http://p:2"),
            ("ada@example.com", "ada@example.com"),
            ("://@", "://"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(text), clean, "{text}");
        }
    }
}
