//! What the domain controller locator answers.

use muster_evidence::{DcLocator, LocatorAnswer};

use super::field::{self, InvalidField};
use super::tristate;
use crate::v1;
use crate::v1::locator_answer::Answer;

impl From<&DcLocator> for v1::DcLocator {
    fn from(locator: &DcLocator) -> Self {
        let DcLocator { domain, any, capable, forced, client_site } = locator;
        Self {
            domain: domain.to_string(),
            any: Some(any.into()),
            capable: Some(capable.into()),
            forced: tristate::number(*forced),
            client_site: client_site.clone().map(Into::into),
        }
    }
}

impl TryFrom<v1::DcLocator> for DcLocator {
    type Error = InvalidField;

    fn try_from(message: v1::DcLocator) -> Result<Self, Self::Error> {
        let v1::DcLocator { domain, any, capable, forced, client_site } = message;
        Ok(Self {
            domain: field::text(&domain, "domain")?,
            any: field::required_nested(any, "any")?,
            capable: field::required_nested(capable, "capable")?,
            forced: tristate::read(forced, "forced")?,
            client_site: field::optional_text(client_site.as_deref(), "client_site")?,
        })
    }
}

impl From<&LocatorAnswer> for v1::LocatorAnswer {
    fn from(answer: &LocatorAnswer) -> Self {
        Self {
            answer: Some(match answer {
                LocatorAnswer::Found { name, site, flags } => Answer::Found(v1::LocatedController {
                    name: name.to_string(),
                    site: site.clone().map(Into::into),
                    flags: *flags,
                }),
                LocatorAnswer::Refused { code } => Answer::RefusedCode(*code),
            }),
        }
    }
}

impl TryFrom<v1::LocatorAnswer> for LocatorAnswer {
    type Error = InvalidField;

    fn try_from(message: v1::LocatorAnswer) -> Result<Self, Self::Error> {
        let v1::LocatorAnswer { answer } = message;
        Ok(match field::required(answer, "answer")? {
            Answer::Found(v1::LocatedController { name, site, flags }) => Self::Found {
                name: field::text(&name, "found.name")?,
                site: field::optional_text(site.as_deref(), "found.site")?,
                flags,
            },
            Answer::RefusedCode(code) => Self::Refused { code },
        })
    }
}
