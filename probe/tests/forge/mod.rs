//! Certificates and revocation lists written byte by byte, so that anything can be wrong with them.
//!
//! The library that makes certificates makes neither broken ones nor lists with deltas. Keys on P-256 are made here;
//! others, and the signatures that ring does not make (SHA-1, short RSA keys, P-521), by the `openssl` program.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

/// 2026-03-02T07:40:47Z.
pub const NOW: i64 = 1_772_437_247;
pub const DAY: i64 = 24 * 3600;

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    match content.len() {
        0..0x80 => der.push(length[3]),
        0x80..0x100 => der.extend([0x81, length[3]]),
        0x100..0x1_0000 => der.extend([0x82, length[2], length[3]]),
        _ => der.extend([&[0x84][..], &length].concat()),
    }
    der.extend_from_slice(content);
    der
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let digits = &bytes[first..];
    tlv(0x02, &if digits[0] & 0x80 == 0 { digits.to_vec() } else { [&[0][..], digits].concat() })
}

/// The encoding of an object identifier in dotted form.
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = Vec::new();
    let joined = std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied());
    for arc in joined {
        let mut digits = vec![u8::try_from(arc & 0x7F).unwrap()];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push(u8::try_from(rest & 0x7F).unwrap() | 0x80);
            rest >>= 7;
        }
        content.extend(digits.iter().rev());
    }
    tlv(0x06, &content)
}

pub fn utc_time(seconds: i64) -> Vec<u8> {
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let (year, month) = (at.year(), u8::from(at.month()));
    let rest = format!("{month:02}{:02}{:02}{:02}{:02}Z", at.day(), at.hour(), at.minute(), at.second());
    if (1950..2050).contains(&year) {
        tlv(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        tlv(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// A name of common name alone, in a given type of string.
pub fn name_as(tag: u8, cn: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(0x31, &sequence(&[&oid("2.5.4.3"), &tlv(tag, cn)]))])
}

pub fn name(cn: &str) -> Vec<u8> {
    name_as(0x0C, cn.as_bytes())
}

/// A name of an organisation and a common name below it.
pub fn name_in(organisation: &str, cn: &str) -> Vec<u8> {
    let rdn = |kind: &str, value: &str| tlv(0x31, &sequence(&[&oid(kind), &tlv(0x0C, value.as_bytes())]));
    sequence(&[&rdn("2.5.4.10", organisation), &rdn("2.5.4.3", cn)])
}

pub fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xFF]) } else { Vec::new() };
    sequence(&[&oid(kind), &critical, &tlv(0x04, value)])
}

pub fn basic_constraints(ca: bool, path_length: Option<u64>) -> Vec<u8> {
    let ca = if ca { tlv(0x01, &[0xFF]) } else { Vec::new() };
    extension("2.5.29.19", true, &sequence(&[&ca, &path_length.map(integer).unwrap_or_default()]))
}

pub const DIGITAL_SIGNATURE: u8 = 0x80;
pub const KEY_ENCIPHERMENT: u8 = 0x20;
pub const KEY_CERT_SIGN: u8 = 0x04;
pub const CRL_SIGN: u8 = 0x02;

pub fn key_usage(bits: u8) -> Vec<u8> {
    extension("2.5.29.15", true, &tlv(0x03, &[u8::try_from(bits.trailing_zeros().min(7)).unwrap(), bits]))
}

pub fn extended_key_usage(usages: &[&str]) -> Vec<u8> {
    let usages: Vec<Vec<u8>> = usages.iter().map(|usage| oid(usage)).collect();
    extension("2.5.29.37", false, &tlv(0x30, &usages.concat()))
}

/// A general name: form and content.
pub fn general(form: u8, content: &[u8]) -> Vec<u8> {
    tlv(if matches!(form, 0 | 4) { 0xA0 } else { 0x80 } | form, content)
}

pub fn dns(name: &str) -> Vec<u8> {
    general(2, name.as_bytes())
}

pub fn alt_names(names: &[Vec<u8>]) -> Vec<u8> {
    extension("2.5.29.17", false, &tlv(0x30, &names.concat()))
}

/// CRLDistributionPoints or FreshestCRL, one point for each address.
pub fn points(kind: &str, urls: &[&str]) -> Vec<u8> {
    let point = |url: &&str| sequence(&[&tlv(0xA0, &tlv(0xA0, &general(6, url.as_bytes())))]);
    extension(kind, false, &tlv(0x30, &urls.iter().map(point).collect::<Vec<_>>().concat()))
}

pub const CDP: &str = "2.5.29.31";
pub const FRESHEST: &str = "2.5.29.46";

pub fn subject_key_id(id: &[u8]) -> Vec<u8> {
    extension("2.5.29.14", false, &tlv(0x04, id))
}

pub fn authority_key_id(id: &[u8]) -> Vec<u8> {
    extension("2.5.29.35", false, &sequence(&[&tlv(0x80, id)]))
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    /// RSASSA-PSS with SHA-256 and a salt of its length.
    Pss,
}

/// A private key.
pub struct Key {
    /// SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    signer: Signer,
}

enum Signer {
    P256(Box<EcdsaKeyPair>),
    /// A key in PEM, and whether it is RSA.
    Program {
        path: PathBuf,
        rsa: bool,
    },
}

impl Key {
    pub fn p256() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let algorithm = sequence(&[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")]);
        let point = [&[0], pair.public_key().as_ref()].concat();
        Self { spki: sequence(&[&algorithm, &tlv(0x03, &point)]), signer: Signer::P256(Box::new(pair)) }
    }

    /// A key that `openssl genpkey` makes.
    pub fn by_openssl(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let path = folder.join(format!("{name}.key"));
        let made = openssl(&["genpkey", "-out", path.to_str().unwrap()], arguments);
        assert!(made.0, "{}", made.1);
        let public = folder.join(format!("{name}.spki"));
        let written = openssl(
            &["pkey", "-pubout", "-outform", "DER", "-in", path.to_str().unwrap()],
            &["-out", public.to_str().unwrap()],
        );
        assert!(written.0, "{}", written.1);
        let rsa = arguments.contains(&"RSA");
        Self { spki: std::fs::read(public).unwrap(), signer: Signer::Program { path, rsa } }
    }

    /// The AlgorithmIdentifier of its signatures.
    fn algorithm(&self, hash: Hash) -> Vec<u8> {
        let rsa = matches!(self.signer, Signer::Program { rsa: true, .. });
        let null = tlv(0x05, &[]);
        let sha256 = sequence(&[&oid("2.16.840.1.101.3.4.2.1"), &null]);
        match (rsa, hash) {
            (true, Hash::Sha1) => sequence(&[&oid("1.2.840.113549.1.1.5"), &null]),
            (true, Hash::Sha256) => sequence(&[&oid("1.2.840.113549.1.1.11"), &null]),
            (true, Hash::Sha384) => sequence(&[&oid("1.2.840.113549.1.1.12"), &null]),
            (true, Hash::Sha512) => sequence(&[&oid("1.2.840.113549.1.1.13"), &null]),
            (true, Hash::Pss) => {
                let mask = sequence(&[&oid("1.2.840.113549.1.1.8"), &sha256]);
                let parameters = sequence(&[&tlv(0xA0, &sha256), &tlv(0xA1, &mask), &tlv(0xA2, &integer(32))]);
                sequence(&[&oid("1.2.840.113549.1.1.10"), &parameters])
            }
            (false, Hash::Sha1) => sequence(&[&oid("1.2.840.10045.4.1")]),
            (false, Hash::Sha256 | Hash::Pss) => sequence(&[&oid("1.2.840.10045.4.3.2")]),
            (false, Hash::Sha384) => sequence(&[&oid("1.2.840.10045.4.3.3")]),
            (false, Hash::Sha512) => sequence(&[&oid("1.2.840.10045.4.3.4")]),
        }
    }

    fn sign(&self, hash: Hash, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::P256(pair) if hash == Hash::Sha256 => {
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Signer::P256(_) => panic!("P-256 keys sign with SHA-256 here"),
            Signer::Program { path, .. } => {
                let (input, output) = (path.with_extension("tbs"), path.with_extension("sig"));
                std::fs::write(&input, message).unwrap();
                let digest = match hash {
                    Hash::Sha1 => "-sha1",
                    Hash::Sha256 | Hash::Pss => "-sha256",
                    Hash::Sha384 => "-sha384",
                    Hash::Sha512 => "-sha512",
                };
                let mut arguments = vec!["-sign", path.to_str().unwrap(), "-out", output.to_str().unwrap()];
                if hash == Hash::Pss {
                    arguments.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]);
                }
                arguments.push(input.to_str().unwrap());
                let signed = openssl(&["dgst", digest], &arguments);
                assert!(signed.0, "{}", signed.1);
                std::fs::read(output).unwrap()
            }
        }
    }

    /// What is signed, the algorithm and the signature, in a sequence.
    pub fn signed(&self, hash: Hash, tbs: &[u8]) -> Vec<u8> {
        let signature = tlv(0x03, &[&[0], self.sign(hash, tbs).as_slice()].concat());
        sequence(&[tbs, &self.algorithm(hash), &signature])
    }
}

/// Runs `openssl`: whether it succeeded, and what it wrote.
pub fn openssl(command: &[&str], arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(command).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// What stands in a certificate.
#[derive(Clone)]
pub struct Certificate {
    /// 1 or 3.
    pub version: u8,
    pub serial: u64,
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    pub not_before: i64,
    pub not_after: i64,
    pub spki: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
}

impl Certificate {
    pub fn new(issuer: Vec<u8>, subject: Vec<u8>, key: &Key) -> Self {
        Self {
            version: 3,
            serial: 7,
            issuer,
            subject,
            not_before: NOW - 100 * DAY,
            not_after: NOW + 100 * DAY,
            spki: key.spki.clone(),
            extensions: Vec::new(),
        }
    }

    pub fn sign(&self, key: &Key, hash: Hash) -> Vec<u8> {
        let version = if self.version == 3 { tlv(0xA0, &integer(2)) } else { Vec::new() };
        let extensions =
            if self.extensions.is_empty() { Vec::new() } else { tlv(0xA3, &tlv(0x30, &self.extensions.concat())) };
        let tbs = sequence(&[
            &version,
            &integer(self.serial),
            &key.algorithm(hash),
            &self.issuer,
            &sequence(&[&utc_time(self.not_before), &utc_time(self.not_after)]),
            &self.subject,
            &self.spki,
            &extensions,
        ]);
        key.signed(hash, &tbs)
    }
}

/// What stands in a revocation list.
#[derive(Clone)]
pub struct List {
    pub issuer: Vec<u8>,
    pub number: Option<u64>,
    pub base: Option<u64>,
    pub this_update: i64,
    pub next_update: Option<i64>,
    /// Serial numbers with their reasons.
    pub entries: Vec<(u64, Option<u8>)>,
    /// Further extensions.
    pub more: Vec<Vec<u8>>,
}

impl List {
    pub fn new(issuer: Vec<u8>) -> Self {
        Self {
            issuer,
            number: Some(5),
            base: None,
            this_update: NOW - DAY,
            next_update: Some(NOW + DAY),
            entries: Vec::new(),
            more: Vec::new(),
        }
    }

    pub fn sign(&self, key: &Key, hash: Hash) -> Vec<u8> {
        let entry = |(serial, reason): &(u64, Option<u8>)| {
            let reason = reason
                .map(|reason| sequence(&[&extension("2.5.29.21", false, &tlv(0x0A, &[reason]))]))
                .unwrap_or_default();
            sequence(&[&integer(*serial), &utc_time(NOW - 2 * DAY), &reason])
        };
        let entries: Vec<u8> = self.entries.iter().flat_map(entry).collect();
        let mut extensions = self.more.clone();
        extensions.extend(self.number.map(|number| extension("2.5.29.20", false, &integer(number))));
        extensions.extend(self.base.map(|base| extension("2.5.29.27", true, &integer(base))));
        let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0xA0, &tlv(0x30, &extensions.concat())) };
        let tbs = sequence(&[
            &integer(1),
            &key.algorithm(hash),
            &self.issuer,
            &utc_time(self.this_update),
            &self.next_update.map(utc_time).unwrap_or_default(),
            &if entries.is_empty() { Vec::new() } else { tlv(0x30, &entries) },
            &extensions,
        ]);
        key.signed(hash, &tbs)
    }
}

/// PEM of several blocks.
pub fn pem(label: &str, ders: &[Vec<u8>]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for der in ders {
        text.extend(["-----BEGIN ", label, "-----\n"]);
        for line in der.chunks(48) {
            for group in line.chunks(3) {
                let bits =
                    group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
                for i in 0..4 {
                    let digit = DIGITS[(bits >> (18 - 6 * i) & 0x3F) as usize];
                    text.push(if i <= group.len() { char::from(digit) } else { '=' });
                }
            }
            text.push('\n');
        }
        text.extend(["-----END ", label, "-----\n"]);
    }
    text
}
