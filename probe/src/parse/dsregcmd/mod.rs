//! The text that `dsregcmd /status` prints.
//!
//! Two layers. `grammar` splits the text into sections of ordered fields and keeps everything raw: keys are never
//! folded (`OnPremTgt` and `OnPremTGT` are two facts), never looked up across sections (`NgcSet` stands in two), and
//! what this build does not know is preserved. `facts` reads evidence from the sections, with the context the text
//! was taken in, because user facts read outside the user's session are false negatives.
//!
//! The tool prints no version and no length, so a text that was cut off must be told from a short one: see [`Ending`].

mod facts;
mod grammar;

pub use facts::{Account, Facts};
pub use grammar::{Ending, Field, InvalidStatus, Section, Status, parse};
