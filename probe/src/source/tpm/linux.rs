//! Linux: the kernel's TPM device, or a software TPM, through tss-esapi.
//!
//! One raw command goes first and tells 1.2 from 2.0 by the tag of its answer, because the TPM software stack reports a
//! TPM 1.2 as a failing TPM 2.0. The counter of authorisation failures is not read: it moves by itself.

#[path = "endorsement.rs"]
mod endorsement;

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use muster_evidence::{EkCertificates, Evidence, FailureReason, Outcome, Tpm, TpmLockout, TpmVersion};
use tss_esapi::constants::{CapabilityType, PropertyTag};
use tss_esapi::structures::CapabilityData;
use tss_esapi::tss2_esys::TPM2_HANDLE;
use tss_esapi::{Context, TctiNameConf};

use super::parse::{self, InvalidResponse};
use crate::source::{SourceSettings, failed, failure_reason};

/// Device nodes, the one with a resource manager first: it is shared, the other has room for one process.
const DEVICES: [&str; 2] = ["dev/tpmrm0", "dev/tpm0"];

/// NV indices of endorsement key certificates (TCG EK Credential Profile 2.5, sections 2.2.1.4 and 2.2.1.5).
const EK_RSA_2048: u32 = 0x01C0_0002;
const EK_ECC_P256: u32 = 0x01C0_000A;
const EK_ECC_P384: u32 = 0x01C0_0016;

/// Longest wait for one answer of a software TPM.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn observe(settings: &SourceSettings) -> Outcome {
    let tcti = match &settings.tpm_tcti {
        Some(text) => Tcti::from_str(text),
        None => match system_device(&settings.root) {
            Ok(Some(path)) => Ok(Tcti::Device(path)),
            Ok(None) => return Outcome::Absent,
            Err(error) => Err(error),
        },
    };
    match tcti.and_then(|tcti| tcti.read()) {
        Ok(tpm) => Outcome::Observed(Evidence::Tpm(tpm)),
        Err(error) => failed(error.reason(), error.line()),
    }
}

/// Why a TPM could not be read.
#[derive(Debug, thiserror::Error)]
enum TpmError {
    #[error("failed to open TPM device `{path}`")]
    Open {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to exchange a command with the TPM at `{at}`")]
    Exchange {
        at: String,
        #[source]
        source: io::Error,
    },
    #[error("failed to look into `{path}`")]
    Look {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("`{class}` lists a TPM and none of the device nodes `/dev/tpmrm0` and `/dev/tpm0` is there")]
    NoNode { class: String },
    #[error("`{path}` is not there, so nothing tells whether the machine has a TPM")]
    NoClass { path: String },
    #[error("invalid TCTI `{found}`: expected `device:PATH`, `swtpm:host=HOST,port=PORT`, `mssim:…` or `tabrmd:…`")]
    Tcti { found: String },
    #[error("the TPM at `{at}` answered what no TPM answers")]
    Response {
        at: String,
        #[source]
        source: InvalidResponse,
    },
    #[error("failed to reach the TPM at `{at}` through the TPM software stack")]
    Stack {
        at: String,
        #[source]
        source: tss_esapi::Error,
    },
}

impl TpmError {
    fn reason(&self) -> FailureReason {
        match self {
            Self::Open { source, .. } | Self::Exchange { source, .. } | Self::Look { source, .. } => {
                failure_reason(source)
            }
            Self::NoNode { .. } | Self::NoClass { .. } | Self::Tcti { .. } | Self::Stack { .. } => {
                FailureReason::Unavailable
            }
            Self::Response { .. } => FailureReason::Unreadable,
        }
    }

    fn line(&self) -> String {
        std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    }
}

/// The system's TPM device; `None` when the kernel knows of no TPM.
fn system_device(root: &Path) -> Result<Option<PathBuf>, TpmError> {
    let exists =
        |path: &Path| path.try_exists().map_err(|source| TpmError::Look { path: path.display().to_string(), source });
    for device in DEVICES {
        let path = root.join(device);
        if exists(&path)? {
            return Ok(Some(path));
        }
    }
    // Without a node only sysfs can prove that there is no TPM: a container has the one without the other.
    let all_classes = root.join("sys/class");
    let class = all_classes.join("tpm");
    if !exists(&all_classes)? {
        return Err(TpmError::NoClass { path: all_classes.display().to_string() });
    }
    if !exists(&class)? {
        return Ok(None);
    }
    let shown = class.display().to_string();
    let mut entries = class.read_dir().map_err(|source| TpmError::Look { path: shown.clone(), source })?;
    if entries.next().is_some() { Err(TpmError::NoNode { class: shown }) } else { Ok(None) }
}

/// A way to a TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tcti {
    Device(PathBuf),
    /// A swtpm's command socket, which takes plain TPM commands.
    Swtpm {
        host: String,
        port: u16,
    },
    /// Anything else the TPM software stack knows; no raw command can be sent there.
    Stack(String),
}

impl FromStr for Tcti {
    type Err = TpmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TpmError::Tcti { found: text.chars().take(80).collect() };
        let (name, conf) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "device" if conf.is_empty() => Ok(Self::Device(PathBuf::from("/dev/tpm0"))),
            "device" => Ok(Self::Device(PathBuf::from(conf))),
            "swtpm" => {
                // The stack's own defaults (Tss2_Tcti_Swtpm_Init(3)).
                let (mut host, mut port) = ("localhost".to_owned(), 2321);
                for part in conf.split(',').filter(|part| !part.is_empty()) {
                    match part.split_once('=') {
                        Some(("host", value)) if !value.is_empty() => value.clone_into(&mut host),
                        Some(("port", value)) => port = value.parse().map_err(|_| error())?,
                        _ => return Err(error()),
                    }
                }
                Ok(Self::Swtpm { host, port })
            }
            "mssim" | "tabrmd" => Ok(Self::Stack(text.to_owned())),
            _ => Err(error()),
        }
    }
}

impl std::fmt::Display for Tcti {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::Swtpm { host, port } => write!(f, "swtpm:host={host},port={port}"),
            Self::Stack(text) => f.write_str(text),
        }
    }
}

impl Tcti {
    fn read(&self) -> Result<Tpm, TpmError> {
        let response = |source| TpmError::Response { at: self.to_string(), source };
        let version = match self.exchange(&parse::GET_FAMILY_2_0)? {
            Some(answer) => parse::family(&answer).map_err(response)?,
            // The stack speaks with a TPM 2.0 only.
            None => TpmVersion::V2_0,
        };
        match version {
            TpmVersion::V2_0 => self.read_2_0(),
            TpmVersion::V1_2 => self.read_1_2(),
        }
    }

    fn read_1_2(&self) -> Result<Tpm, TpmError> {
        // What the TPM is has been told already; a refusal to tell its maker leaves only that open.
        let info = self.exchange(&parse::GET_VERSION_1_2)?.and_then(|answer| parse::version_info_1_2(&answer).ok());
        let (manufacturer, firmware) = info.unzip();
        let version = TpmVersion::V1_2;
        Ok(Tpm {
            version,
            manufacturer,
            firmware,
            lockout: None,
            ek_certificates: None,
            fips_mode: None,
            endorsement_key: None,
            readiness: None,
        })
    }

    fn read_2_0(&self) -> Result<Tpm, TpmError> {
        let stack = |source| TpmError::Stack { at: self.to_string(), source };
        let name_conf = TctiNameConf::from_str(&self.to_string()).map_err(stack)?;
        let mut context = Context::new(name_conf).map_err(stack)?;
        let mut property = |tag: PropertyTag| property(&mut context, tag);
        let manufacturer = property(PropertyTag::Manufacturer).map(|id| parse::vendor(id.to_be_bytes()));
        let firmware = property(PropertyTag::FirmwareVersion1)
            .map(|first| parse::firmware(first, property(PropertyTag::FirmwareVersion2).unwrap_or_default()));
        let lockout = match (
            property(PropertyTag::Permanent),
            property(PropertyTag::MaxAuthFail),
            property(PropertyTag::LockoutInterval),
        ) {
            (Some(permanent), Some(max_failures), Some(recovery_seconds)) => {
                let failures = property(PropertyTag::LockoutCounter);
                Some(TpmLockout { locked: parse::in_lockout(permanent), max_failures, recovery_seconds, failures })
            }
            _ => None,
        };
        let fips_mode = property(PropertyTag::Modes).map(parse::fips);
        let ek_certificates = ek_certificates(&mut context);
        let endorsement_key = Some(endorsement::observe(&mut context));
        Ok(Tpm {
            version: TpmVersion::V2_0,
            manufacturer,
            firmware,
            lockout,
            ek_certificates,
            fips_mode,
            endorsement_key,
            readiness: None,
        })
    }

    /// Sends one raw command; `None` where this way takes none.
    fn exchange(&self, command: &[u8]) -> Result<Option<Vec<u8>>, TpmError> {
        let exchange = |source| TpmError::Exchange { at: self.to_string(), source };
        match self {
            Self::Device(path) => {
                let open = |source| TpmError::Open { path: path.display().to_string(), source };
                let mut device = OpenOptions::new().read(true).write(true).open(path).map_err(open)?;
                device.write_all(command).map_err(exchange)?;
                // The driver hands out a response with one read.
                let mut answer = vec![0; parse::MAX_RESPONSE_BYTES];
                let length = device.read(&mut answer).map_err(exchange)?;
                answer.truncate(length);
                Ok(Some(answer))
            }
            Self::Swtpm { host, port } => {
                let mut stream = connect(host, *port).map_err(exchange)?;
                stream.write_all(command).map_err(exchange)?;
                let mut header = [0; parse::HEADER_BYTES];
                stream.read_exact(&mut header).map_err(exchange)?;
                let size = parse::response_bytes(header)
                    .map_err(|source| TpmError::Response { at: self.to_string(), source })?;
                let mut answer = header.to_vec();
                answer.resize(size, 0);
                stream.read_exact(&mut answer[parse::HEADER_BYTES..]).map_err(exchange)?;
                Ok(Some(answer))
            }
            Self::Stack(_) => Ok(None),
        }
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ANSWER_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One property of the TPM; `None` where it does not tell it.
///
/// Asked one by one: tss-esapi's own convenience asks for four in a row and fails as a whole when a newer TPM has a
/// property among them that it does not know.
fn property(context: &mut Context, tag: PropertyTag) -> Option<u32> {
    let (data, _more) = context.get_capability(CapabilityType::TpmProperties, tag.into(), 1).ok()?;
    let CapabilityData::TpmProperties(found) = data else { return None };
    // Where the TPM lacks the property it answers with the next one it has.
    found.into_iter().find(|property| property.property() == tag).map(|property| property.value())
}

/// Which EK certificates are in the TPM; `None` where it would not tell.
fn ek_certificates(context: &mut Context) -> Option<EkCertificates> {
    let mut is_there = |index: u32| holds(context, index);
    let (rsa_2048, ecc_p256) = (is_there(EK_RSA_2048)?, is_there(EK_ECC_P256)?);
    Some(EkCertificates { rsa_2048, ecc_p256, ecc_p384: is_there(EK_ECC_P384)? })
}

/// Whether the TPM has an index or a persistent object under a handle; `None` where it would not tell.
fn holds(context: &mut Context, handle: u32) -> Option<bool> {
    let (data, _more) = context.get_capability(CapabilityType::Handles, handle, 1).ok()?;
    let CapabilityData::Handles(found) = data else { return None };
    Some(found.into_inner().first().is_some_and(|found| TPM2_HANDLE::from(*found) == handle))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;

    use super::*;

    fn look(root: &Path) -> Outcome {
        observe(&SourceSettings { root: root.to_owned(), ..SourceSettings::default() })
    }

    fn failure(outcome: Outcome) -> (FailureReason, String) {
        match outcome {
            Outcome::Failed(failure) => (failure.reason, failure.detail.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_tpm_is_not_the_same_as_no_look() {
        let root = tempfile::tempdir().unwrap();
        let (reason, detail) = failure(look(root.path()));
        assert_eq!(reason, FailureReason::Unavailable);
        assert!(detail.contains("nothing tells whether the machine has a TPM"), "{detail}");

        fs::create_dir_all(root.path().join("sys/class")).unwrap();
        assert_eq!(look(root.path()), Outcome::Absent, "sysfs is there and lists none");
        fs::create_dir(root.path().join("sys/class/tpm")).unwrap();
        assert_eq!(look(root.path()), Outcome::Absent);

        fs::create_dir(root.path().join("sys/class/tpm/tpm0")).unwrap();
        let (reason, detail) = failure(look(root.path()));
        assert_eq!(reason, FailureReason::Unavailable);
        assert!(detail.contains("lists a TPM and none of the device nodes"), "{detail}");
    }

    #[test]
    fn a_device_that_is_no_tpm_is_unreadable() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        fs::write(root.path().join("dev/tpm0"), b"").unwrap();
        // The file takes the command and then has nothing left to read.
        let (reason, detail) = failure(look(root.path()));
        assert_eq!(reason, FailureReason::Unreadable);
        assert!(detail.ends_with("TPM response has 0 bytes (expected 10)"), "{detail}");

        fs::remove_file(root.path().join("dev/tpm0")).unwrap();
        fs::create_dir(root.path().join("dev/tpm0")).unwrap();
        let (_, detail) = failure(look(root.path()));
        assert!(detail.starts_with("failed to open TPM device"), "{detail}");
    }

    #[test]
    fn strings_of_the_stack() {
        for (text, shown) in [
            ("swtpm:host=127.0.0.1,port=2421", "swtpm:host=127.0.0.1,port=2421"),
            ("swtpm", "swtpm:host=localhost,port=2321"),
            ("device:/dev/tpmrm0", "device:/dev/tpmrm0"),
            ("device", "device:/dev/tpm0"),
            ("mssim:host=sim", "mssim:host=sim"),
        ] {
            assert_eq!(text.parse::<Tcti>().unwrap().to_string(), shown);
        }
        for text in ["", "swtpm:port=x", "swtpm:hsot=a", "usb:1"] {
            let error = text.parse::<Tcti>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid TCTI `{text}`: expected")), "{error}");
        }
    }

    #[test]
    fn bad_peers_are_failures() {
        let against = |answer: &'static [u8]| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let peer = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut command = [0; 22];
                stream.read_exact(&mut command).unwrap();
                stream.write_all(answer).unwrap();
            });
            let tpm_tcti = Some(format!("swtpm:host=127.0.0.1,port={port}"));
            let outcome = observe(&SourceSettings { tpm_tcti, ..SourceSettings::default() });
            peer.join().unwrap();
            failure(outcome)
        };
        assert_eq!(against(b"").0, FailureReason::Incomplete);
        assert_eq!(against(b"HTTP/1.1 400 Bad Request\r\n\r\n").0, FailureReason::Unreadable);
        assert_eq!(against(&[0x80, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]).0, FailureReason::Unreadable);
        assert_eq!(against(&[0x80, 1, 0, 0, 0, 27, 0, 0, 0, 0, 1]).0, FailureReason::Incomplete);

        // A port that nobody listens on.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tpm_tcti = Some(format!("swtpm:host=127.0.0.1,port={port}"));
        let (reason, detail) = failure(observe(&SourceSettings { tpm_tcti, ..SourceSettings::default() }));
        assert_eq!(reason, FailureReason::Unavailable);
        assert!(detail.contains("refused"), "{detail}");
    }
}
