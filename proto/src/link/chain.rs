//! Printing an error with its causes.

use std::error::Error;
use std::fmt;

/// Prints an error and its causes, outermost first, joined by `: `.
///
/// A cause whose text the link above it already ends with is not printed again: libraries differ on whether
/// `Display` includes the source.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut above = self.0.to_string();
        f.write_str(&above)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !above.ends_with(&text) {
                write!(f, ": {text}")?;
                above = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        cause: Option<Box<Link>>,
    }

    fn link(text: &'static str, cause: Option<Link>) -> Link {
        Link { text, cause: cause.map(Box::new) }
    }

    #[test]
    fn every_cause_is_printed_once() {
        let error = link("failed to send", Some(link("failed to connect", Some(link("refused", None)))));
        assert_eq!(Chain(&error).to_string(), "failed to send: failed to connect: refused");
        let repeating = link("failed to send: refused", Some(link("refused", Some(link("by peer", None)))));
        assert_eq!(Chain(&repeating).to_string(), "failed to send: refused: by peer");
    }
}
