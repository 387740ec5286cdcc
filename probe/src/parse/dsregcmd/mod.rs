//! The text that `dsregcmd /status` prints.
//!
//! Three layers. `surroundings` takes off what a text picked up on its way: HTML, odd blanks, a decoration of every line.
//! `grammar` splits it into sections of ordered fields and keeps everything raw: keys are never folded (`OnPremTgt` and
//! `OnPremTGT` are two facts), never looked up across sections (`NgcSet` stands in two), and what this build does not
//! know is preserved; only proxy settings and credentials in addresses are dropped. `facts` reads evidence from the
//! sections, with the context the text was taken in, because user facts read outside the user's session are false
//! negatives.
//!
//! The tool prints no version and no length, so a text that was cut off must be told from a short one: see [`Ending`].
//! A file may hold several outputs, each a status of its own: [`parse_all`] gives all of them, [`parse`] wants one.

mod account;
mod facts;
mod grammar;
mod registration;
mod secrets;
mod surroundings;
mod token;
mod words;

pub use account::Account;
pub use facts::Facts;
pub use grammar::{Ending, Field, InvalidStatus, Section, Status, parse, parse_all};
