//! OpenTelemetry, where it is built in; where it is not, who asks for it is told.

use super::args::Global;
use crate::error::Result;
#[cfg(feature = "otlp")]
pub(super) use crate::telemetry::otlp::{Destination, Traces};
#[cfg(not(feature = "otlp"))]
pub(super) use absent::{Destination, Traces};

/// Where traces and metrics go; `None` when nobody asked for them.
///
/// # Errors
/// `InvalidInput` for what can't be an address, `Unsupported` when this build can't.
pub(super) fn destination(global: &Global) -> Result<Option<Destination>> {
    Destination::read(global.otlp.as_deref().filter(|url| !url.is_empty()), &|name| std::env::var(name).ok())
}

/// What stands in for it: values that nobody can have.
#[cfg(any(test, not(feature = "otlp")))]
#[cfg_attr(feature = "otlp", allow(dead_code, reason = "tested in every build, used where OpenTelemetry is left out"))]
mod absent {
    use std::time::Duration;

    use tokio::runtime::Handle;
    use tracing_subscriber::layer::Identity;

    use crate::error::{Error, Result};
    use crate::telemetry::metrics::Registry;

    #[derive(Debug, Clone)]
    pub(in crate::cli) enum Destination {}

    impl Destination {
        pub(in crate::cli) fn read(flag: Option<&str>, _: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
            if flag.is_none() {
                return Ok(None);
            }
            Err(Error::unsupported("this build sends nothing to OpenTelemetry")
                .hint("build with --features otlp; --metrics-push works in every build"))
        }

        pub(in crate::cli) fn every(&self) -> Duration {
            match *self {}
        }

        pub(in crate::cli) async fn push(&self, _: &Registry, _: i64, _: i64) -> Result<()> {
            match *self {}
        }
    }

    #[derive(Debug)]
    pub(in crate::cli) enum Traces {}

    impl Traces {
        pub(in crate::cli) fn start(destination: &Destination, _: &Handle) -> Option<Self> {
            match *destination {}
        }

        pub(in crate::cli) fn layer(&self) -> Identity {
            match *self {}
        }

        pub(in crate::cli) fn end(self) -> Result<()> {
            match self {}
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn should_refuse_what_it_can_not_do_and_leave_the_environment_alone() {
            let all = |_: &str| Some("http://collector:4318".to_owned());
            assert!(Destination::read(None, &all).unwrap().is_none());
            let error = Destination::read(Some("http://c:4318"), &all).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Unsupported);
        }
    }
}
