//! The scheduler of Entra Connect, as `Get-ADSyncScheduler` prints it: piped into `ConvertTo-Json`, or as a list.

use muster_evidence::{SyncScheduler, Text};

use super::object;

/// Properties by which the object is known.
const MARKS: [&str; 4] = [
    "AllowedSyncCycleInterval",
    "CurrentlyEffectiveSyncCycleInterval",
    "NextSyncCycleStartTimeInUTC",
    "SyncCycleEnabled",
];

/// Says that a text does not show the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no object with `SyncCycleEnabled` (expected what `Get-ADSyncScheduler | ConvertTo-Json` prints; begins with `{start}`)"
)]
pub struct InvalidScheduler {
    /// The beginning of the text.
    pub start: String,
}

/// Reads a text.
pub fn scheduler(text: &str) -> Result<SyncScheduler, InvalidScheduler> {
    let records = object::records(text);
    let is_it = |record: &&object::Record| MARKS.iter().filter(|mark| object::get(record, mark).is_some()).count() >= 2;
    let record = records.iter().find(is_it).ok_or_else(|| InvalidScheduler { start: object::start_of(text) })?;
    Ok(SyncScheduler {
        allowed_interval_seconds: object::seconds(record, "AllowedSyncCycleInterval"),
        effective_interval_seconds: object::seconds(record, "CurrentlyEffectiveSyncCycleInterval"),
        customized_interval_seconds: object::seconds(record, "CustomizedSyncCycleInterval"),
        next_policy: object::text(record, "NextSyncCyclePolicyType").as_deref().map(Text::cut),
        next_start: object::time(record, "NextSyncCycleStartTimeInUTC"),
        enabled: object::flag(record, "SyncCycleEnabled"),
        maintenance_enabled: object::flag(record, "MaintenanceEnabled"),
        staging: object::flag(record, "StagingModeEnabled"),
        suspended: object::flag(record, "SchedulerSuspended"),
        in_progress: object::flag(record, "SyncCycleInProgress"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> SyncScheduler {
        SyncScheduler {
            allowed_interval_seconds: Some(1800),
            effective_interval_seconds: Some(1800),
            customized_interval_seconds: None,
            next_policy: Some(Text::cut("Delta")),
            next_start: Some("2026-03-02T08:14:07Z".parse().unwrap()),
            enabled: Some(true),
            maintenance_enabled: Some(true),
            staging: Some(false),
            suspended: Some(false),
            in_progress: Some(false),
        }
    }

    #[test]
    fn in_every_form() {
        let json = |span: &str, time: &str| {
            format!(
                "{{\"AllowedSyncCycleInterval\":{span},\"CurrentlyEffectiveSyncCycleInterval\":{span},\
                 \"CustomizedSyncCycleInterval\":null,\"NextSyncCyclePolicyType\":\"Delta\",\"NextSyncCycleStartTimeInUTC\":{time},\
                 \"PurgeRunHistoryInterval\":{span},\"SyncCycleEnabled\":true,\"MaintenanceEnabled\":true,\
                 \"StagingModeEnabled\":false,\"SchedulerSuspended\":false,\"SyncCycleInProgress\":false}}"
            )
        };
        let object = "{\"Ticks\":18000000000,\"Days\":0,\"Hours\":0,\"Minutes\":30,\"TotalSeconds\":1800}";
        let list = "\n\nAllowedSyncCycleInterval            : 00:30:00\nCurrentlyEffectiveSyncCycleInterval : 00:30:00\n\
            CustomizedSyncCycleInterval         : \nNextSyncCyclePolicyType             : Delta\n\
            NextSyncCycleStartTimeInUTC         : 3/2/2026 8:14:07 AM\nPurgeRunHistoryInterval             : 7.00:00:00\n\
            SyncCycleEnabled                    : True\nMaintenanceEnabled                  : True\n\
            StagingModeEnabled                  : False\nSchedulerSuspended                  : False\n\
            SyncCycleInProgress                 : False\n\n";
        for text in [
            json(object, "\"\\/Date(1772439247000)\\/\""),
            json("\"00:30:00\"", "\"2026-03-02T08:14:07Z\""),
            format!("[{}]", json(object, "{\"value\":\"/Date(1772439247000)/\"}")),
            list.to_owned(),
        ] {
            assert_eq!(scheduler(&text), Ok(expected()), "{text}");
        }
        let some =
            scheduler("SyncCycleEnabled : False\nStagingModeEnabled : True\nAllowedSyncCycleInterval : ?\n").unwrap();
        assert_eq!((some.enabled, some.staging, some.allowed_interval_seconds), (Some(false), Some(true), None));
    }

    #[test]
    fn what_it_is_not_is_named() {
        for text in ["", "{}", "{\"SyncCycleEnabled\":true}", "Get-ADSyncScheduler : The term is not recognized"] {
            let error = scheduler(text).unwrap_err().to_string();
            assert!(error.starts_with("no object with `SyncCycleEnabled`"), "{error}");
        }
    }
}
