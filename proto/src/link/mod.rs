//! What both ends of a connection must agree on before a message is read.
//!
//! - [`PeerPolicy`] says whom an end believes: certificates issued directly by a pinned CA, for a required purpose.
//!   "Chains to the root" is never enough, because an enterprise root also signs what users request.
//! - [`PeerIdentity`] and [`OperatorIdentity`] are what a peer proved. Only this module can build them, from the
//!   peer's chain and a policy, so nothing can be done in a peer's name without that proof.
//! - [`server_config`] and [`client_config`] are the TLS settings, [`connect`] the way to a collector,
//!   [`accept`] the collector's side of a handshake.
//! - [`der`] and [`revocation_list`] read revocation lists, which the collector refuses peers by and the probe tells the
//!   age of.
//! - [`Chain`] and [`telemetry`] are how errors and logs are written, [`settings`] how settings are read.
//!
//! Nothing here knows evidence or rules, listens, or decides which peer may do what.

mod accept;
mod chain;
mod client;
mod credentials;
pub mod der;
pub mod document;
mod key_file;
mod peer;
mod policy;
pub mod revocation_list;
pub mod settings;
pub mod telemetry;
mod tls;

pub use self::accept::{FailedHandshake, accept};
pub use self::chain::Chain;
pub use self::client::{
    CollectorUrl, ConnectError, Connected, InvalidNameServer, InvalidProxy, InvalidServiceName, InvalidUrl, LastWord,
    LookupError, MOST_ADDRESSES, MOST_ANSWER_BYTES, MOST_RECORDS, NameServer, PlainProxy, Proxies, RefusedByPeer,
    RefusedServer, ServiceName, ServiceRecord, ServiceResolver, Timeouts, connect, connect_as, connect_through,
    in_order_of_choice,
};
pub use self::credentials::{Credentials, InvalidCredentials, certificates_from_pem, load_certificates};
pub use self::peer::{OperatorIdentity, PeerIdentity, RefusedPeer, refusal_reason};
pub use self::policy::{InvalidOid, InvalidPin, InvalidPolicy, Oid, PeerPolicy, Revocation, SpkiPin};
pub use self::tls::{Clients, InvalidTls, TICKET_LIFETIME, client_config, server_config};
