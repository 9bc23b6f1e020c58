//! `icewright serve`: the scheduler as a long-lived process.

mod export;
mod http;
mod page;
mod plans;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};

use super::args::{Global, LogFormat, ServeArgs};
use super::output;
use super::session::Session;
use crate::config::Serve;
use crate::error::{Error, Kind, Result};
use crate::lake::Ambient;
use crate::model::parse_age;
use crate::scheduler::{Engine, Plan, StatusBoard};
use crate::telemetry::metrics::{FleetLimits, Registry};
pub(super) use page::date;
pub(super) use plans::resolve;
use work::SessionWork;

/// How long giving up running work may take beyond the grace period.
const ABANDON: Duration = Duration::from_secs(5);

/// Serves until it is told to stop: SIGTERM and SIGINT stop it, SIGHUP reads the configuration anew.
pub(super) async fn run(global: &Global, args: &ServeArgs) -> Result<u8> {
    let ambient = Arc::new(if args.speed > 1 { Ambient::fast(args.speed) } else { Ambient::system() });
    let session = Session::open_with(global, ambient.clone()).await?;
    let settings = serve_settings(&session, args)?;
    let duration = args.duration.as_deref().map(parse_age).transpose()?;
    let server = Server {
        board: Arc::new(StatusBoard::default()),
        registry: session.aftermath.registry.clone(),
        owner: settings.identity.clone().unwrap_or_else(|| owner(&ambient)),
        ambient: ambient.clone(),
        speed: args.speed,
    };
    let plans = plans::resolve(&session.settings)?;
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| {
        Error::invalid(format!("listening on {} failed", settings.listen))
            .hint("choose another address with --listen")
            .caused_by(e)
    })?;
    let address = listener.local_addr().unwrap_or(settings.listen);
    let (closed, close) = watch::channel(false);
    let shown = http::Shown {
        board: server.board.clone(),
        registry: server.registry.clone(),
        ambient: ambient.clone(),
        owner: server.owner.clone(),
        started_ms: ambient.now_ms(),
    };
    let otlp = session.aftermath.otlp.clone();
    let export = otlp.map(|to| export::export(to, server.registry.clone(), ambient.clone(), close.clone()));
    let export = export.map(tokio::spawn);
    let pages = tokio::spawn(http::answer(listener, shown, close));
    let schedules = plans.iter().map(|plan| plan.label.as_str()).collect::<Vec<_>>().join(", ");
    match global.log_format {
        LogFormat::Json => tracing::info!(schedules, %address, "serves"),
        LogFormat::Text => {
            output::talk(&format!("icewright serves schedules {schedules}; status on http://{address}/"));
        }
    }
    LocalSet::new().run_until(server.follow(global, args, session, settings, plans, duration)).await?;
    closed.send_replace(true);
    if let Some(export) = export {
        let _ = tokio::time::timeout(ABANDON, export).await;
    }
    match tokio::time::timeout(ABANDON, pages).await {
        Ok(Ok(done)) => done?,
        Ok(Err(error)) => return Err(Error::internal("the status server died").caused_by(error)),
        // Somebody keeps a connection open: that is no reason to stay.
        Err(_) => {}
    }
    Ok(0)
}

/// What outlives a reload.
struct Server {
    board: Arc<StatusBoard>,
    registry: Arc<Registry>,
    ambient: Arc<Ambient>,
    owner: String,
    speed: u32,
}

/// What a reload replaces: loops of schedules that share a word to stop.
struct Generation {
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
    grace: Duration,
}

enum Told {
    Stop,
    Reload,
}

impl Server {
    async fn follow(
        &self,
        global: &Global,
        args: &ServeArgs,
        session: Session,
        settings: Serve,
        plans: Vec<Plan>,
        duration: Option<Duration>,
    ) -> Result<()> {
        let mut signals = Signals::listen()?;
        let end = async {
            match duration {
                Some(span) => self.ambient.sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        let mut generation = self.start(session, &settings, plans);
        loop {
            let told = tokio::select! {
                told = signals.next() => told,
                () = &mut end => Told::Stop,
            };
            match told {
                Told::Stop => break,
                // What can't be read leaves everything as it is: a typing error must not end the night's work.
                Told::Reload => match self.reload(global, args).await {
                    Ok((session, settings, plans)) => {
                        tracing::info!(schedules = plans.len(), "configuration read anew");
                        generation.stop().await;
                        self.board.update(|view| view.schedules.clear());
                        generation = self.start(session, &settings, plans);
                    }
                    Err(error) => {
                        tracing::error!(%error, hint = error.hint_text(), "the new configuration is not used");
                    }
                },
            }
        }
        self.board.update(|view| view.stopping = true);
        tracing::info!("stopping");
        generation.stop().await;
        Ok(())
    }

    async fn reload(&self, global: &Global, args: &ServeArgs) -> Result<(Session, Serve, Vec<Plan>)> {
        let session = Session::open_with(global, self.ambient.clone()).await?;
        let settings = serve_settings(&session, args)?;
        let plans = plans::resolve(&session.settings)?;
        Ok((session, settings, plans))
    }

    fn start(&self, session: Session, settings: &Serve, plans: Vec<Plan>) -> Generation {
        let (stop, stopped) = watch::channel(false);
        let engine = Engine {
            work: Arc::new(SessionWork::new(session)),
            looks: Arc::default(),
            ambient: self.ambient.clone(),
            registry: self.registry.clone(),
            board: self.board.clone(),
            limits: FleetLimits { tables: settings.metrics_tables },
            jobs: Arc::new(Semaphore::new(settings.jobs)),
            // A lease is about real time: a clock that runs faster must not let it expire sooner.
            lease: settings.lease.0.saturating_mul(self.speed),
            owner: self.owner.clone(),
            stop: stopped,
        };
        let mut loops = JoinSet::new();
        loops.spawn_local(engine.clone().watch_fleet(settings.inspect_every.0));
        for plan in plans {
            loops.spawn_local(engine.clone().follow(plan));
        }
        Generation { stop, loops, grace: settings.grace.0 }
    }
}

impl Generation {
    /// Starts nothing further and waits for what runs; after the grace period it is given up. Commits are atomic: what is
    /// given up leaves unreferenced files at worst, and a lease that expires.
    async fn stop(&mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.loops.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace, ended).await.is_err() {
            tracing::warn!("the grace period is over: running work is given up, nothing of it is committed");
            self.loops.abort_all();
            let _ = tokio::time::timeout(ABANDON, async { while self.loops.join_next().await.is_some() {} }).await;
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let on = |kind| signal(kind).map_err(|e| Error::new(Kind::Internal, "signals can't be heard").caused_by(e));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

/// `[serve]` with the command line over it.
fn serve_settings(session: &Session, args: &ServeArgs) -> Result<Serve> {
    let mut settings = session.settings.serve.clone();
    if let Some(listen) = args.listen {
        settings.listen = listen;
    }
    if let Some(grace) = &args.grace {
        settings.grace.0 = parse_age(grace)?;
    }
    if let Some(identity) = args.identity.clone().filter(|name| !name.is_empty()) {
        settings.identity = Some(identity);
    }
    if let Some(jobs) = args.jobs {
        settings.jobs = jobs.max(1);
    }
    Ok(settings)
}

/// Who this process is, in leases and on the status page: machine, process, and a part that no restart repeats.
fn owner(ambient: &Ambient) -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let host = host.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    let id = ambient.uuid().simple().to_string();
    format!("{host}:{}:{}", std::process::id(), &id[..6])
}
