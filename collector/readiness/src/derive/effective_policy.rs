//! Which policy acts: the effective value of every Hello setting, for a person on a machine and for the machine alone.
//!
//! Four channels set the same values, and the first that sets one wins for that value: group policy of the user, group
//! policy of the computer, device management of the user, device management of the device (Microsoft Learn, "Configure
//! Windows Hello for Business"). `MDMWinsOverGP` does not reach this area. Three things do not follow that line:
//! certificate trust wins over cloud Kerberos trust, whichever channels set them; cloud Kerberos trust is a setting of
//! the computer, so a user's group policy cannot set it; and where no channel sets `Enabled`, the join decides: Hello is
//! on where a machine is joined to Entra ID alone, and not started anywhere else.
//!
//! A channel that is absent sets nothing: a fact. A channel that nobody looked at, or that could not be read, may set
//! anything: the effective value is then uncertain, unless a channel above it sets the value. So is a value that is
//! there and is no number, and a switch that is neither 0 nor 1.
//!
//! Whom the checks of policy judge: each person of the machine, since a person's own channels decide first; the machine
//! alone, by its two channels, where nobody's facts are known. Never both, and this is why: what stands against the host
//! counts for all its people, and a user's group policy may have overruled it. The host of a machine with people is
//! therefore counted by the checks that speak of machines only.

use std::borrow::Cow;

use muster_evidence::{Evidence, HelloPolicy, JoinKind, Kind, Observation, Outcome, Sid, Text, Timestamp};

use crate::check::answer::{Look, look, words};
use crate::{Facts, Gap, TrustType};

/// A way by which settings reach a machine, from the one that wins to the one that loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Group policy of the user.
    UserPolicy,
    /// Group policy of the computer.
    ComputerPolicy,
    /// Device management, scope of the user.
    UserMdm,
    /// Device management, scope of the device.
    DeviceMdm,
}

impl Channel {
    /// Every channel, from the one that wins to the one that loses.
    pub const BY_PRECEDENCE: [Self; 4] = [Self::UserPolicy, Self::ComputerPolicy, Self::UserMdm, Self::DeviceMdm];

    /// The kind of evidence that carries it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::UserPolicy => Kind::UserPolicy,
            Self::ComputerPolicy => Kind::ComputerPolicy,
            Self::UserMdm => Kind::UserMdmPolicy,
            Self::DeviceMdm => Kind::DeviceMdmPolicy,
        }
    }

    /// The words used in texts, such as `the computer's group policy`.
    pub const fn words(self) -> &'static str {
        words(self.kind())
    }

    /// Whether it is group policy, and not device management.
    pub const fn is_group_policy(self) -> bool {
        matches!(self, Self::UserPolicy | Self::ComputerPolicy)
    }

    /// Whether it speaks of a user, and not of the machine.
    pub const fn is_of_user(self) -> bool {
        matches!(self, Self::UserPolicy | Self::UserMdm)
    }
}

/// A setting that several channels can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// Whether Hello is on.
    Enabled,
    /// Whether enrolment waits until the user starts it.
    DisablePostLogonProvisioning,
    /// Whether keys must lie in a TPM.
    RequireSecurityDevice,
    /// Whether a TPM 1.2 does not count as one.
    ExcludeTpm12,
    /// Whether certificate trust is used.
    UseCertificateTrust,
    /// Whether cloud Kerberos trust is used.
    UseCloudTrust,
    /// Whether a forgotten PIN can be recovered.
    EnablePinRecovery,
    /// Least length of a PIN.
    PinMinimumLength,
    /// Greatest length of a PIN.
    PinMaximumLength,
    /// Upper-case letters in a PIN.
    PinUppercase,
    /// Lower-case letters in a PIN.
    PinLowercase,
    /// Special characters in a PIN.
    PinSpecial,
    /// Digits in a PIN.
    PinDigits,
    /// PINs that cannot be used again.
    PinHistory,
    /// Days after which a PIN must be changed.
    PinExpiration,
    /// Whether biometrics may be used.
    UseBiometrics,
    /// Whether face recognition must resist pictures.
    EnhancedAntiSpoofing,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 17] = [
        Self::Enabled,
        Self::DisablePostLogonProvisioning,
        Self::RequireSecurityDevice,
        Self::ExcludeTpm12,
        Self::UseCertificateTrust,
        Self::UseCloudTrust,
        Self::EnablePinRecovery,
        Self::PinMinimumLength,
        Self::PinMaximumLength,
        Self::PinUppercase,
        Self::PinLowercase,
        Self::PinSpecial,
        Self::PinDigits,
        Self::PinHistory,
        Self::PinExpiration,
        Self::UseBiometrics,
        Self::EnhancedAntiSpoofing,
    ];

    /// The name of the value in a channel, with the subkey it stands in.
    pub const fn name(self, channel: Channel) -> &'static str {
        match self {
            Self::Enabled if channel.is_group_policy() => "Enabled",
            Self::Enabled => "UsePassportForWork",
            Self::DisablePostLogonProvisioning => "DisablePostLogonProvisioning",
            Self::RequireSecurityDevice => "RequireSecurityDevice",
            Self::ExcludeTpm12 => r"ExcludeSecurityDevices\TPM12",
            Self::UseCertificateTrust => "UseCertificateForOnPremAuth",
            Self::UseCloudTrust => "UseCloudTrustForOnPremAuth",
            Self::EnablePinRecovery => "EnablePinRecovery",
            Self::PinMinimumLength => r"PINComplexity\MinimumPINLength",
            Self::PinMaximumLength => r"PINComplexity\MaximumPINLength",
            Self::PinUppercase => r"PINComplexity\UppercaseLetters",
            Self::PinLowercase => r"PINComplexity\LowercaseLetters",
            Self::PinSpecial => r"PINComplexity\SpecialCharacters",
            Self::PinDigits => r"PINComplexity\Digits",
            Self::PinHistory => r"PINComplexity\History",
            Self::PinExpiration => r"PINComplexity\Expiration",
            Self::UseBiometrics if channel.is_group_policy() => r"Biometrics\Enabled",
            Self::UseBiometrics => r"Biometrics\UseBiometrics",
            Self::EnhancedAntiSpoofing => r"Biometrics\FacialFeaturesUseEnhancedAntiSpoofing",
        }
    }

    /// Whether a value in that channel acts: cloud Kerberos trust is no setting of a user's group policy, and biometrics
    /// are set for the machine alone.
    pub const fn acts_in(self, channel: Channel) -> bool {
        match self {
            Self::UseCloudTrust => !matches!(channel, Channel::UserPolicy),
            Self::UseBiometrics | Self::EnhancedAntiSpoofing => !channel.is_of_user(),
            _ => true,
        }
    }

    /// What a channel sets.
    const fn of(self, policy: &HelloPolicy) -> Option<u32> {
        match self {
            Self::Enabled => policy.enabled,
            Self::DisablePostLogonProvisioning => policy.disable_post_logon_provisioning,
            Self::RequireSecurityDevice => policy.require_security_device,
            Self::ExcludeTpm12 => policy.exclude_tpm12,
            Self::UseCertificateTrust => policy.use_certificate_for_on_prem_auth,
            Self::UseCloudTrust => policy.use_cloud_trust_for_on_prem_auth,
            Self::EnablePinRecovery => policy.enable_pin_recovery,
            Self::PinMinimumLength => policy.pin.minimum_length,
            Self::PinMaximumLength => policy.pin.maximum_length,
            Self::PinUppercase => policy.pin.uppercase,
            Self::PinLowercase => policy.pin.lowercase,
            Self::PinSpecial => policy.pin.special,
            Self::PinDigits => policy.pin.digits,
            Self::PinHistory => policy.pin.history,
            Self::PinExpiration => policy.pin.expiration_days,
            Self::UseBiometrics => policy.use_biometrics,
            Self::EnhancedAntiSpoofing => policy.enhanced_anti_spoofing,
        }
    }

    /// Whether the name of a value that could not be read is this setting's: with its subkey, or without where the name
    /// alone says which setting it is.
    fn is_named(self, channel: Channel, name: &Text) -> bool {
        let (name, own) = (name.as_str(), self.name(channel));
        let same = |left: &str, right: &str| {
            left.len() == right.len()
                && left.bytes().zip(right.bytes()).all(|(left, right)| {
                    let fold = |byte: u8| if byte == b'/' { b'\\' } else { byte.to_ascii_lowercase() };
                    fold(left) == fold(right)
                })
        };
        // `Enabled` alone is the switch of Hello itself.
        same(name, own) || own.split_once('\\').is_some_and(|(_, last)| last != "Enabled" && same(name, last))
    }
}

/// The value of a setting that acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effective {
    /// A channel sets it.
    Set {
        /// The number, as stored.
        value: u32,
        /// The channel that wins.
        channel: Channel,
    },
    /// No channel sets it.
    NotSet,
    /// The evidence does not say.
    Uncertain(Uncertain),
}

/// The value of a setting that is a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// A channel sets it to 1.
    On(Channel),
    /// A channel sets it to 0.
    Off(Channel),
    /// No channel sets it.
    NotSet,
    /// The evidence does not say.
    Uncertain(Uncertain),
}

/// Why the value that acts is not known: the first channel that may set it and does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncertain {
    /// The setting.
    pub setting: Setting,
    /// The channel.
    pub channel: Channel,
    /// What about it.
    pub doubt: Doubt,
}

/// Why a channel does not say what it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Nobody reported it.
    NotReported,
    /// It could not be read.
    Unreadable,
    /// The value is there and is no DWORD.
    NotANumber,
    /// The value is a number that means nothing.
    Meaningless(u32),
}

/// Whether Hello is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A channel switches it on.
    On(Channel),
    /// No channel sets it, and it is on by default: the machine is joined to Entra ID alone.
    OnByDefault,
    /// A channel switches it off.
    Off(Channel),
    /// No channel sets it, and a machine in a domain waits for one.
    NotStarted,
    /// No channel sets it, and the join state, which decides then, is not known.
    JoinUnknown,
    /// The evidence does not say.
    Uncertain(Uncertain),
}

/// The trust model that the settings amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A model, and the channel that asks for it; `None` for key trust, which is what there is where none is asked for.
    Is(TrustType, Option<Channel>),
    /// The evidence does not say.
    Uncertain(Uncertain),
}

/// A setting that group policy and device management both carry, which Microsoft does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The setting.
    pub setting: Setting,
    /// The group policy that sets it, and to what: it acts.
    pub group_policy: (Channel, u32),
    /// The device management that sets it, and to what: it is passed over.
    pub mdm: (Channel, u32),
}

/// What is known of one channel.
#[derive(Clone, Copy, Debug)]
enum Seen<'a> {
    /// It does not speak of this subject.
    LeftOut,
    /// Nobody reported it.
    NotReported,
    /// It could not be read.
    Unreadable(&'a Observation),
    /// It does not exist: it sets nothing.
    Absent(&'a Observation),
    /// It was read.
    Read(&'a HelloPolicy, &'a Observation),
}

/// The channels that act on a person on a machine, or on the machine alone.
///
/// Making one looks four observations up and allocates nothing but the keys; every question is answered from them.
#[derive(Clone, Copy, Debug)]
pub struct EffectivePolicy<'a> {
    channels: [Seen<'a>; 4],
    on_by_default: Option<bool>,
}

impl<'a> EffectivePolicy<'a> {
    /// What acts on the machine, whoever uses it: its own two channels.
    pub fn of_machine(facts: &Facts<'a>) -> Self {
        Self::new(
            facts,
            |channel| {
                if channel.is_of_user() { Seen::LeftOut } else { seen(facts.host.of_host(channel.kind())) }
            },
        )
    }

    /// What acts on a person there: all four channels.
    pub fn of_user(facts: &Facts<'a>, sid: &Sid) -> Self {
        Self::new(facts, |channel| {
            seen(if channel.is_of_user() {
                facts.host.of_user(channel.kind(), sid)
            } else {
                facts.host.of_host(channel.kind())
            })
        })
    }

    /// What acts on the subject of a judgement: the person, or the machine where nobody is known.
    pub fn of(facts: &Facts<'a>, sid: Option<&Sid>) -> Self {
        sid.map_or_else(|| Self::of_machine(facts), |sid| Self::of_user(facts, sid))
    }

    fn new(facts: &Facts<'a>, seen: impl Fn(Channel) -> Seen<'a>) -> Self {
        Self { channels: Channel::BY_PRECEDENCE.map(seen), on_by_default: hello_is_on_by_default(facts) }
    }

    /// Whether any channel was reported, readable or not. Where none was, nobody looked at policies at all, as in a
    /// capture of `dsregcmd` alone.
    pub fn was_looked_at(&self) -> bool {
        !self.channels.iter().all(|seen| matches!(seen, Seen::NotReported | Seen::LeftOut))
    }

    /// The value that acts.
    pub fn value(&self, setting: Setting) -> Effective {
        for (channel, seen) in self.acting(setting) {
            let uncertain = |doubt| Effective::Uncertain(Uncertain { setting, channel, doubt });
            match seen {
                Seen::LeftOut | Seen::Absent(_) => {}
                Seen::NotReported => return uncertain(Doubt::NotReported),
                Seen::Unreadable(_) => return uncertain(Doubt::Unreadable),
                Seen::Read(policy, _) => {
                    if let Some(value) = setting.of(policy) {
                        return Effective::Set { value, channel };
                    }
                    if policy.unreadable.iter().any(|name| setting.is_named(channel, name)) {
                        return uncertain(Doubt::NotANumber);
                    }
                }
            }
        }
        Effective::NotSet
    }

    /// The value that acts, of a setting that is a switch.
    pub fn switch(&self, setting: Setting) -> Switch {
        match self.value(setting) {
            Effective::Set { value: 1, channel } => Switch::On(channel),
            Effective::Set { value: 0, channel } => Switch::Off(channel),
            Effective::Set { value, channel } => {
                Switch::Uncertain(Uncertain { setting, channel, doubt: Doubt::Meaningless(value) })
            }
            Effective::NotSet => Switch::NotSet,
            Effective::Uncertain(uncertain) => Switch::Uncertain(uncertain),
        }
    }

    /// Whether Hello is on.
    pub fn hello(&self) -> Hello {
        match (self.switch(Setting::Enabled), self.on_by_default) {
            (Switch::On(channel), _) => Hello::On(channel),
            (Switch::Off(channel), _) => Hello::Off(channel),
            (Switch::Uncertain(uncertain), _) => Hello::Uncertain(uncertain),
            (Switch::NotSet, Some(true)) => Hello::OnByDefault,
            (Switch::NotSet, Some(false)) => Hello::NotStarted,
            (Switch::NotSet, None) => Hello::JoinUnknown,
        }
    }

    /// The trust model that the settings amount to: certificate trust before cloud Kerberos trust before key trust.
    pub fn trust(&self) -> Trust {
        match self.switch(Setting::UseCertificateTrust) {
            Switch::On(channel) => return Trust::Is(TrustType::CertificateTrust, Some(channel)),
            Switch::Uncertain(uncertain) => return Trust::Uncertain(uncertain),
            Switch::Off(_) | Switch::NotSet => {}
        }
        match self.switch(Setting::UseCloudTrust) {
            Switch::On(channel) => Trust::Is(TrustType::CloudKerberosTrust, Some(channel)),
            Switch::Uncertain(uncertain) => Trust::Uncertain(uncertain),
            Switch::Off(_) | Switch::NotSet => Trust::Is(TrustType::KeyTrust, None),
        }
    }

    /// The settings that group policy and device management both carry, with the value of either that is nearest to
    /// acting.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        // Most machines are set up by one of the two, and a look at the channels is enough for them.
        let settings = if self.sets_nothing(true) || self.sets_nothing(false) { 0 } else { Setting::ALL.len() };
        Setting::ALL.into_iter().take(settings).filter_map(|setting| {
            let first = |is_group_policy: bool| {
                self.acting(setting).filter(|(channel, _)| channel.is_group_policy() == is_group_policy).find_map(
                    |(channel, seen)| match seen {
                        Seen::Read(policy, _) => setting.of(policy).map(|value| (channel, value)),
                        Seen::LeftOut | Seen::NotReported | Seen::Unreadable(_) | Seen::Absent(_) => None,
                    },
                )
            };
            Some(Conflict { setting, group_policy: first(true)?, mdm: first(false)? })
        })
    }

    /// Whether all channels of group policy, or all of device management, are known and set nothing.
    pub fn sets_nothing(&self, group_policy: bool) -> bool {
        let own = Channel::BY_PRECEDENCE.into_iter().zip(self.channels);
        own.filter(|(channel, _)| channel.is_group_policy() == group_policy).all(|(_, seen)| match seen {
            Seen::LeftOut | Seen::Absent(_) => true,
            Seen::NotReported | Seen::Unreadable(_) => false,
            Seen::Read(policy, _) => {
                policy.unreadable.is_empty() && Setting::ALL.into_iter().all(|setting| setting.of(policy).is_none())
            }
        })
    }

    /// The first channel that does not say what it sets, whatever the setting: `None` where all of them do.
    pub fn first_gap(&self) -> Option<Gap> {
        Channel::BY_PRECEDENCE.into_iter().zip(self.channels).find_map(|(channel, seen)| match seen {
            Seen::NotReported => Some(gap_of(channel, None)),
            Seen::Unreadable(observation) => Some(gap_of(channel, Some(observation))),
            Seen::LeftOut | Seen::Absent(_) | Seen::Read(..) => None,
        })
    }

    /// The gap of a value that is not known.
    pub fn gap(&self, uncertain: Uncertain) -> Gap {
        let Uncertain { setting, channel, doubt } = uncertain;
        let name = setting.name(channel);
        let why = match doubt {
            Doubt::NotReported => return gap_of(channel, None),
            Doubt::Unreadable => return gap_of(channel, self.observation(channel)),
            Doubt::NotANumber => format!("`{name}` is there and is no number"),
            Doubt::Meaningless(value) => format!("`{name} = {value}` is neither 0 nor 1"),
        };
        Gap { missing: Cow::Borrowed(channel.words()), why: Cow::Owned(why) }
    }

    /// When the oldest of the channels that decide about a setting was looked at; `None` where none was.
    pub fn evidence_at(&self, setting: Setting) -> Option<Timestamp> {
        let last = match self.value(setting) {
            Effective::Set { channel, .. } | Effective::Uncertain(Uncertain { channel, .. }) => channel,
            Effective::NotSet => Channel::DeviceMdm,
        };
        self.acting(setting)
            .take_while(|(channel, _)| *channel <= last)
            .filter_map(|(_, seen)| seen.observation())
            .map(|observation| observation.observed_at)
            .min()
    }

    /// When the oldest of all its channels was looked at; `None` where none was.
    pub fn looked_at(&self) -> Option<Timestamp> {
        self.channels.iter().filter_map(Seen::observation).map(|observation| observation.observed_at).min()
    }

    fn acting(&self, setting: Setting) -> impl Iterator<Item = (Channel, Seen<'a>)> + '_ {
        Channel::BY_PRECEDENCE.into_iter().zip(self.channels).filter(move |(channel, _)| setting.acts_in(*channel))
    }

    fn observation(&self, wanted: Channel) -> Option<&'a Observation> {
        let place = Channel::BY_PRECEDENCE.iter().position(|channel| *channel == wanted)?;
        self.channels[place].observation()
    }
}

impl<'a> Seen<'a> {
    const fn observation(&self) -> Option<&'a Observation> {
        match self {
            Self::LeftOut | Self::NotReported => None,
            Self::Unreadable(observation) | Self::Absent(observation) | Self::Read(_, observation) => Some(observation),
        }
    }
}

fn seen(observation: Option<&Observation>) -> Seen<'_> {
    let Some(observation) = observation else { return Seen::NotReported };
    match &observation.outcome {
        Outcome::Absent => Seen::Absent(observation),
        Outcome::Observed(evidence) => match hello_policy(observation.key.kind, evidence) {
            Some(policy) => Seen::Read(policy, observation),
            None => Seen::Unreadable(observation),
        },
        Outcome::Unsupported(_) | Outcome::Failed(_) => Seen::Unreadable(observation),
    }
}

/// The settings of a channel, where the evidence is that channel's.
fn hello_policy(kind: Kind, evidence: &Evidence) -> Option<&HelloPolicy> {
    match (kind, evidence) {
        (Kind::UserPolicy, Evidence::UserPolicy(policy))
        | (Kind::UserMdmPolicy, Evidence::UserMdmPolicy(policy))
        | (Kind::ComputerPolicy, Evidence::ComputerPolicy(policy))
        | (Kind::DeviceMdmPolicy, Evidence::DeviceMdmPolicy(policy)) => Some(policy),
        _ => None,
    }
}

/// The gap of a channel that does not say what it sets.
fn gap_of(channel: Channel, observation: Option<&Observation>) -> Gap {
    match look(observation, channel.kind(), |evidence| hello_policy(channel.kind(), evidence)) {
        Look::Gap(gap) => gap,
        Look::Found(..) | Look::Absent(_) => {
            Gap { missing: Cow::Borrowed(channel.words()), why: Cow::Borrowed("it does not say what it sets") }
        }
    }
}

/// Whether Hello is on without a policy here, as on machines that are joined to Entra ID only; `None` where the join
/// state does not say.
pub fn hello_is_on_by_default(facts: &Facts<'_>) -> Option<bool> {
    match &facts.host.of_host(Kind::JoinState)?.outcome {
        Outcome::Observed(Evidence::JoinState(join)) => match join.kind() {
            JoinKind::EntraJoined => Some(true),
            JoinKind::Undetermined => None,
            JoinKind::Hybrid
            | JoinKind::DomainOnly
            | JoinKind::OnPremisesDrs
            | JoinKind::WorkplaceOnly
            | JoinKind::NotJoined => Some(false),
        },
        Outcome::Absent => Some(false),
        Outcome::Observed(_) | Outcome::Unsupported(_) | Outcome::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use muster_evidence::{Context, JoinState, PinComplexity, Tristate};
    use proptest::prelude::*;

    use super::*;
    use crate::check::fixture::device::{channel, hello_policy as with_enabled};
    use crate::check::fixture::{Host, ada, hybrid, text};

    fn policy() -> HelloPolicy {
        HelloPolicy::default()
    }

    fn entra() -> JoinState {
        JoinState { domain_joined: Tristate::No, ..hybrid() }
    }

    /// A hybrid machine and a person, all of whose channels were looked for and are not there.
    fn bare() -> Host {
        Host::endpoint().with(Evidence::JoinState(hybrid())).no_policy()
    }

    fn of_ada<T>(host: &Host, ask: impl FnOnce(&EffectivePolicy<'_>) -> T) -> T {
        ask(&EffectivePolicy::of_user(&host.facts(), &ada()))
    }

    fn hello(host: &Host) -> Hello {
        EffectivePolicy::of_user(&host.facts(), &ada()).hello()
    }

    fn trust(host: &Host) -> Trust {
        EffectivePolicy::of_user(&host.facts(), &ada()).trust()
    }

    #[test]
    fn the_first_channel_that_sets_a_value_wins() {
        use Channel::{ComputerPolicy, DeviceMdm, UserMdm, UserPolicy};
        // What each channel sets, in order of precedence, and the channel that wins.
        let cases: [([Option<u32>; 4], Hello); 7] = [
            ([Some(0), Some(1), Some(1), Some(1)], Hello::Off(UserPolicy)),
            ([None, Some(1), Some(0), Some(0)], Hello::On(ComputerPolicy)),
            ([None, None, Some(0), Some(1)], Hello::Off(UserMdm)),
            ([None, None, None, Some(1)], Hello::On(DeviceMdm)),
            ([None, None, None, None], Hello::NotStarted),
            ([Some(1), None, None, Some(0)], Hello::On(UserPolicy)),
            (
                [None, Some(7), Some(1), None],
                Hello::Uncertain(Uncertain {
                    setting: Setting::Enabled,
                    channel: ComputerPolicy,
                    doubt: Doubt::Meaningless(7),
                }),
            ),
        ];
        for (values, expected) in cases {
            let host = Channel::BY_PRECEDENCE
                .into_iter()
                .zip(values)
                .fold(bare(), |host, (channel, enabled)| host.channel(channel, HelloPolicy { enabled, ..policy() }));
            assert_eq!(hello(&host), expected, "{values:?}");
        }
    }

    #[test]
    fn the_join_decides_where_nothing_is_set() {
        let joined = |join| bare().with(Evidence::JoinState(join));
        let cases = [
            (joined(hybrid()), Hello::NotStarted),
            (joined(entra()), Hello::OnByDefault),
            (joined(JoinState { azure_ad_joined: Tristate::No, ..hybrid() }), Hello::NotStarted),
            (joined(JoinState { azure_ad_joined: Tristate::NotShown, ..hybrid() }), Hello::JoinUnknown),
            (bare().failed(Kind::JoinState), Hello::JoinUnknown),
            (bare().absent(Kind::JoinState), Hello::NotStarted),
            (
                bare().failed(Kind::JoinState).channel(Channel::DeviceMdm, with_enabled(1)),
                Hello::On(Channel::DeviceMdm),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(hello(&host), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_matters_unless_a_higher_channel_sets_the_value() {
        let gap_at = |host: &Host| match hello(host) {
            Hello::Uncertain(uncertain) => {
                let gap = of_ada(host, |policy| policy.gap(uncertain));
                format!("{}: {}", gap.missing, gap.why)
            }
            other => format!("{other:?}"),
        };
        let cases = [
            (bare().user_failed(Kind::UserPolicy), "the user's group policy: access denied: not allowed"),
            (
                bare().user_failed(Kind::UserPolicy).channel(Channel::ComputerPolicy, with_enabled(1)),
                "the user's group policy: access denied: not allowed",
            ),
            (bare().failed(Kind::DeviceMdmPolicy), "the device's MDM policy: access denied: not allowed"),
            (
                bare().unsupported(Kind::ComputerPolicy),
                "the computer's group policy: not available on this system: no such interface",
            ),
            (bare().failed(Kind::DeviceMdmPolicy).channel(Channel::UserPolicy, with_enabled(1)), "On(UserPolicy)"),
            (bare().failed(Kind::ComputerPolicy).channel(Channel::UserPolicy, with_enabled(0)), "Off(UserPolicy)"),
            (
                Host::endpoint().channel(Channel::ComputerPolicy, with_enabled(1)),
                "the user's group policy: not reported",
            ),
            (
                bare().channel(Channel::DeviceMdm, with_enabled(3)),
                "the device's MDM policy: `UsePassportForWork = 3` is neither 0 nor 1",
            ),
            (
                bare().channel(Channel::ComputerPolicy, HelloPolicy { unreadable: vec![text("enabled")], ..policy() }),
                "the computer's group policy: `Enabled` is there and is no number",
            ),
            (
                bare().channel(
                    Channel::ComputerPolicy,
                    HelloPolicy { unreadable: vec![text(r"Biometrics\Enabled")], ..policy() },
                ),
                "NotStarted",
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(gap_at(&host), expected);
        }
    }

    #[test]
    fn a_name_without_its_subkey_is_known_where_it_is_clear() {
        let cases = [
            (Setting::PinDigits, r"PINComplexity\Digits", true),
            (Setting::PinDigits, "pincomplexity/digits", true),
            (Setting::PinDigits, "Digits", true),
            (Setting::PinHistory, "Digits", false),
            (Setting::ExcludeTpm12, "TPM12", true),
            (Setting::UseBiometrics, "Enabled", false),
            (Setting::UseBiometrics, r"Biometrics\Enabled", true),
            (Setting::Enabled, "Enabled", true),
            (Setting::Enabled, "UsePassportForWork", false),
        ];
        for (setting, name, is_named) in cases {
            assert_eq!(setting.is_named(Channel::ComputerPolicy, &text(name)), is_named, "{setting:?} {name}");
        }
    }

    #[test]
    fn certificate_trust_wins_over_cloud_trust_and_neither_is_key_trust() {
        use TrustType::{CertificateTrust, CloudKerberosTrust, KeyTrust};
        let certificate = |value| HelloPolicy { use_certificate_for_on_prem_auth: Some(value), ..policy() };
        let cloud = |value| HelloPolicy { use_cloud_trust_for_on_prem_auth: Some(value), ..policy() };
        let both = HelloPolicy { use_cloud_trust_for_on_prem_auth: Some(1), ..certificate(1) };
        let is = |model, channel| Trust::Is(model, channel);
        let cases = [
            (bare(), is(KeyTrust, None)),
            (bare().channel(Channel::ComputerPolicy, certificate(0)), is(KeyTrust, None)),
            (bare().channel(Channel::UserPolicy, certificate(1)), is(CertificateTrust, Some(Channel::UserPolicy))),
            (bare().channel(Channel::DeviceMdm, cloud(1)), is(CloudKerberosTrust, Some(Channel::DeviceMdm))),
            (bare().channel(Channel::ComputerPolicy, both), is(CertificateTrust, Some(Channel::ComputerPolicy))),
            (
                bare().channel(Channel::ComputerPolicy, cloud(1)).channel(Channel::DeviceMdm, certificate(1)),
                is(CertificateTrust, Some(Channel::DeviceMdm)),
            ),
            // A user's group policy has no such setting, so it neither sets it nor hides it.
            (bare().channel(Channel::UserPolicy, cloud(1)), is(KeyTrust, None)),
            (
                bare().channel(Channel::UserPolicy, cloud(0)).channel(Channel::ComputerPolicy, cloud(1)),
                is(CloudKerberosTrust, Some(Channel::ComputerPolicy)),
            ),
            (
                bare().failed(Kind::DeviceMdmPolicy).channel(Channel::ComputerPolicy, cloud(1)),
                Trust::Uncertain(Uncertain {
                    setting: Setting::UseCertificateTrust,
                    channel: Channel::DeviceMdm,
                    doubt: Doubt::Unreadable,
                }),
            ),
            (
                bare().failed(Kind::DeviceMdmPolicy).channel(Channel::ComputerPolicy, certificate(1)),
                is(CertificateTrust, Some(Channel::ComputerPolicy)),
            ),
        ];
        for (host, expected) in cases {
            assert_eq!(trust(&host), expected);
        }
    }

    #[test]
    fn the_machine_alone_has_two_channels() {
        let host = bare()
            .channel(Channel::UserPolicy, with_enabled(0))
            .channel(Channel::UserMdm, with_enabled(0))
            .channel(Channel::DeviceMdm, with_enabled(1));
        let facts = host.facts();
        assert_eq!(EffectivePolicy::of_machine(&facts).hello(), Hello::On(Channel::DeviceMdm));
        assert_eq!(EffectivePolicy::of(&facts, None).hello(), Hello::On(Channel::DeviceMdm));
        assert_eq!(EffectivePolicy::of(&facts, Some(&ada())).hello(), Hello::Off(Channel::UserPolicy));
        assert!(EffectivePolicy::of_machine(&facts).was_looked_at());
        let nobody_looked = Host::endpoint();
        assert!(!EffectivePolicy::of_user(&nobody_looked.facts(), &ada()).was_looked_at());
        let in_vain = Host::endpoint().failed(Kind::ComputerPolicy);
        assert!(EffectivePolicy::of_user(&in_vain.facts(), &ada()).was_looked_at());
    }

    #[test]
    fn what_both_kinds_of_channel_carry_is_a_conflict_equal_or_not() {
        let conflicts = |host: &Host| of_ada(host, |policy| policy.conflicts().collect::<Vec<_>>());
        assert_eq!(conflicts(&bare()), []);
        let pin = HelloPolicy { pin: PinComplexity { digits: Some(1), ..Default::default() }, ..policy() };
        let cloud = HelloPolicy { use_cloud_trust_for_on_prem_auth: Some(1), ..policy() };
        let host = bare()
            .channel(Channel::UserPolicy, HelloPolicy { enabled: Some(1), ..cloud.clone() })
            .channel(Channel::ComputerPolicy, HelloPolicy { enabled: Some(0), ..pin.clone() })
            .channel(Channel::UserMdm, pin)
            .channel(Channel::DeviceMdm, HelloPolicy { enabled: Some(0), ..cloud });
        assert_eq!(
            conflicts(&host),
            [
                Conflict {
                    setting: Setting::Enabled,
                    group_policy: (Channel::UserPolicy, 1),
                    mdm: (Channel::DeviceMdm, 0)
                },
                Conflict {
                    setting: Setting::PinDigits,
                    group_policy: (Channel::ComputerPolicy, 1),
                    mdm: (Channel::UserMdm, 1)
                },
            ]
        );
    }

    #[test]
    fn the_age_is_that_of_the_oldest_channel_that_decides() {
        let mut host = bare().channel(Channel::ComputerPolicy, with_enabled(1));
        for (hours, seen) in (1..).zip(Channel::BY_PRECEDENCE) {
            let key = channel(seen);
            host.facts.observations.get_mut(&key).unwrap().observed_at = host.now.plus_minutes(-60 * hours);
        }
        let hours =
            |setting| of_ada(&host, |policy| host.now.ms_since(policy.evidence_at(setting).unwrap()) / 3_600_000);
        assert_eq!(hours(Setting::Enabled), 2); // the user's group policy sets nothing, the computer's decides
        assert_eq!(hours(Setting::RequireSecurityDevice), 4);
        assert_eq!(of_ada(&host, |policy| host.now.ms_since(policy.looked_at().unwrap()) / 3_600_000), 4);
    }

    /// A channel: absent, read with a value or without, unreadable, or not reported.
    fn put(host: Host, channel: Channel, choice: u8) -> Host {
        match choice % 6 {
            0 => host.without(channel),
            1 => host.unread(channel),
            2 => host.channel(channel, policy()),
            3 => host.channel(channel, with_enabled(0)),
            4 => host.channel(channel, with_enabled(1)),
            _ => host,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

        /// The value is what the first channel says that says anything, and nothing that comes after it matters.
        #[test]
        fn only_the_channels_down_to_the_first_that_says_something_matter(
            choices in any::<[u8; 4]>(), other in any::<[u8; 4]>(),
        ) {
            let build = |choices: [u8; 4]| {
                let start = Host::endpoint().with(Evidence::JoinState(hybrid()));
                Channel::BY_PRECEDENCE.into_iter().zip(choices).fold(start, |host, (channel, choice)| {
                    put(host, channel, choice)
                })
            };
            let decides = choices.iter().position(|choice| !matches!(choice % 6, 0 | 2)).unwrap_or(4);
            let mut changed = choices;
            if let Some(rest) = changed.get_mut(decides + 1..) {
                rest.copy_from_slice(&other[decides + 1..]);
            }
            let (before, after) = (build(choices), build(changed));
            prop_assert_eq!(hello(&before), hello(&after));
            let expected = match choices.get(decides).map(|choice| choice % 6) {
                None => "NotStarted",
                Some(3) => "Off",
                Some(4) => "On",
                Some(_) => "Uncertain",
            };
            let found = format!("{:?}", hello(&before));
            prop_assert!(found.starts_with(expected), "{} for {:?}", found, choices);
        }

        /// A channel that cannot be read any more leaves the value as it was, or makes it uncertain.
        #[test]
        fn a_gap_never_sets_a_value(choices in any::<[u8; 4]>(), place in 0_usize..4) {
            let start = Host::endpoint().with(Evidence::JoinState(hybrid()));
            let host = Channel::BY_PRECEDENCE.into_iter().zip(choices).fold(start, |host, (channel, choice)| {
                put(host, channel, choice)
            });
            let gapped = host.clone().unread(Channel::BY_PRECEDENCE[place]);
            for setting in Setting::ALL {
                let before = of_ada(&host, |policy| policy.value(setting));
                let after = of_ada(&gapped, |policy| policy.value(setting));
                prop_assert!(after == before || matches!(after, Effective::Uncertain(_)), "{:?}", setting);
            }
        }
    }

    #[test]
    fn a_channel_under_a_wrong_name_is_not_read() {
        let key = channel(Channel::ComputerPolicy);
        let wrong = Outcome::Observed(Evidence::DeviceMdmPolicy(Box::new(with_enabled(1))));
        let host = bare().put(key, wrong, Context::Service);
        assert!(matches!(hello(&host), Hello::Uncertain(_)));
    }
}
