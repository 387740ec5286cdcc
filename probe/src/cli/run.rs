//! `muster-probe run`: the service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use muster_proto::link::telemetry::{self, Exporter, OtlpError, OtlpSettings};

use super::exit::{Ended, Failed, INTERNAL, USAGE};
use crate::clock::SystemClock;
use crate::config::{Loaded, LogFormat, LogSettings, TelemetrySettings};
use crate::run::RunError;
use crate::service;

/// Longest the last export may take at the end.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// How the service starts.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Reports at once instead of after a random part of the interval.
    #[arg(long)]
    pub now: bool,
    /// Reports the machines whose raw outputs lie in this folder, instead of this one.
    #[arg(long, value_name = "DIR")]
    pub captures: Option<PathBuf>,
}

/// Looks and reports until stopped.
pub fn run(arguments: &RunArguments, loaded: &mut Loaded) -> Ended {
    take_captures(arguments.captures.as_ref(), loaded);
    let exporter = start_log(&loaded.config.log, &loaded.config.telemetry)?;
    let config = loaded.config.clone();
    let runtime = super::runtime()?;
    let ended = runtime.block_on(async {
        let requests = service::requests()
            .map_err(|error| Failed { code: INTERNAL, message: format!("failed to listen for signals: {error}") })?;
        crate::run::run(config, Arc::new(SystemClock), requests, arguments.now).await.map_err(|error| failed(&error))
    });
    // A source that hangs must not keep the service from stopping.
    runtime.shutdown_background();
    end_export(exporter.as_ref());
    ended.map(|()| ExitCode::SUCCESS)
}

/// A folder on the command line wins over the settings.
pub(super) fn take_captures(folder: Option<&PathBuf>, loaded: &mut Loaded) {
    if let Some(folder) = folder {
        loaded.config.captures = Some(folder.clone());
        loaded.set_by_command_line("captures");
    }
}

/// Why a service could not start, with its exit code.
pub(super) fn failed(error: &RunError) -> Failed {
    Failed::with(
        match error {
            RunError::Sender(_) => USAGE,
            RunError::Outbox(_) => super::exit::UNAVAILABLE,
        },
        error,
    )
}

/// Starts the log, and traces where they are sent anywhere. `MUSTER_LOG` wins over the settings.
pub(super) fn start_log(settings: &LogSettings, traces: &TelemetrySettings) -> Result<Option<Exporter>, Failed> {
    let format = match settings.format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    let filter = std::env::var(telemetry::FILTER_VARIABLE).unwrap_or_else(|_| settings.filter.clone());
    let exporter = exporter(traces).map_err(|error| Failed::with(USAGE, &error))?;
    telemetry::start(format, &filter, exporter.as_ref()).map_err(|error| Failed::with(USAGE, &error))?;
    Ok(exporter)
}

fn exporter(settings: &TelemetrySettings) -> Result<Option<Exporter>, OtlpError> {
    let TelemetrySettings { otlp, otlp_ca, headers } = settings;
    let settings = match otlp {
        Some(endpoint) => Some(OtlpSettings {
            endpoint: endpoint.clone(),
            ca: otlp_ca.clone(),
            headers: headers.clone(),
            interval: telemetry::DEFAULT_INTERVAL,
        }),
        None => OtlpSettings::from_environment(|key| std::env::var(key).ok())?,
    };
    settings.map(|settings| Exporter::start(&settings, "muster-probe", env!("CARGO_PKG_VERSION"))).transpose()
}

/// Sends what is left, within a limit.
pub(super) fn end_export(exporter: Option<&Exporter>) {
    if let Some(exporter) = exporter {
        exporter.shutdown(LAST_EXPORT);
    }
}
