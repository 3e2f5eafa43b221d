//! The agent: as a handler it records scan requests, as a source it runs the capture loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::capture_loop::CaptureLoop;
use super::context::AgentContext;
use super::options::WatchOptions;
use super::paths;
use super::pulse::{Halt, Pulse};
use crate::event::{AgentName, Event, EventType};
use crate::runtime::{
    Agent, Boxed, Compute, Duty, DutyContext, DutyError, Ending, Handling, ScanDesk, Source,
};
use crate::store::{Effect, LeaseTerm, Outcome, Store, WriteError};

/// How soon it is looked again whether the store is back.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct ChangeDetection {
    options: Arc<WatchOptions>,
    store: Store,
    source: Source,
    desk: ScanDesk,
    compute: Compute,
    /// A scan was requested just now: its row is about to be committed.
    requested: Arc<Notify>,
}

impl ChangeDetection {
    /// One run of the agent. Patterns that [`WatchOptions::check`] refuses end its duty with an error.
    pub(crate) fn new(
        options: WatchOptions,
        store: Store,
        source: Source,
        desk: ScanDesk,
        compute: Compute,
    ) -> Self {
        ChangeDetection {
            options: Arc::new(options),
            store,
            source,
            desk,
            compute,
            requested: Arc::default(),
        }
    }

    /// Records a scan request. Does nothing if the subject is neither a collection nor a path in one.
    fn request_scan(&self, event: &Event) -> Outcome {
        let (collection, path) = event.subject.as_place();
        let path = path.map(|p| p.strip_suffix(b"/").map_or(p.clone(), <[u8]>::to_vec));
        // On a store with several hosts another one may have the collection.
        let is_known = self.options.has(collection) || self.store.leases().are_shared();
        if !is_known || path.as_ref().is_some_and(|p| !paths::is_relative(p)) {
            return Outcome::nothing();
        }
        self.requested.notify_one();
        Outcome::nothing().effect(Effect::ScanRequested {
            collection: collection.to_owned(),
            path,
            reason: event.data["reason"]
                .as_str()
                .unwrap_or("requested")
                .to_owned(),
        })
    }

    /// The capture loop before its first turn.
    pub(super) async fn capture_loop(
        &self,
        pulse: Pulse,
        ours: Option<BTreeMap<String, LeaseTerm>>,
    ) -> Result<CaptureLoop, Halt> {
        let (options, store) = (self.options.clone(), self.store.clone());
        let context = AgentContext::new(options, store, self.compute.clone(), pulse, ours).await?;
        let (source, desk) = (self.source.clone(), self.desk.clone());
        CaptureLoop::new(context, source, desk, self.requested.clone()).await
    }

    /// Captures until told to stop. While the store is away nothing is captured; the first scan after it finds what changed.
    async fn capture(&self, context: DutyContext) -> Result<(), Halt> {
        loop {
            match context.after_earlier_writes(&self.store).await {
                None => return Err(Halt::Stop),
                Some(passed) => passed.map_err(|error| Halt::Failed(error.into()))?,
            }
            let error = match self.capture_what_is_ours(&context).await {
                Err(Halt::Failed(DutyError::Read(error))) => error,
                Ok(()) | Err(Halt::Stop) if !context.stop.is_cancelled() => continue,
                ended => return ended,
            };
            match context.during(self.store.barrier()).await {
                None => return Err(Halt::Stop),
                Some(Err(WriteError::Unavailable(_))) => {}
                Some(_) if error.is_away => {}
                // It is there, and cannot be read.
                Some(_) => return Err(error.into()),
            }
            tracing::warn!(%error, "the store is away; captures begin again when it is back");
            context.during(tokio::time::sleep(AGAIN)).await;
        }
    }
}

impl ChangeDetection {
    /// Captures until told to stop, or until this host has other collections to watch.
    async fn capture_what_is_ours(&self, context: &DutyContext) -> Result<(), Halt> {
        let leases = self.store.leases();
        let ours = leases.collections();
        let is_ours = |name: &String| ours.as_ref().is_none_or(|ours| ours.contains_key(name));
        let names = self.options.collections.iter().map(|one| &one.name);
        names
            .filter(|name| !is_ours(name))
            .for_each(|name| self.desk.forget(name));
        let stop = context.stop.child_token();
        let pulse = Pulse::from(context.clone()).stopped_by(stop.clone());
        let captured = async { self.capture_loop(pulse, ours.clone()).await?.run().await };
        tokio::pin!(captured);
        tokio::select! {
            ended = &mut captured => return ended,
            () = leases.collections_changed(&ours) => stop.cancel(),
        }
        captured.await
    }
}

impl Agent for ChangeDetection {
    fn name(&self) -> AgentName {
        AgentName::ChangeDetection
    }

    fn handle<'a>(&'a self, event: &'a Event, _: &'a Handling) -> Boxed<'a, Ending> {
        let outcome = match event.kind {
            EventType::ScanRequested => self.request_scan(event),
            _ => Outcome::nothing(),
        };
        Box::pin(async move { Ending::Outcome(outcome) })
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        vec![Duty::new("capture", move |context| async move {
            match self.capture(context).await {
                Ok(()) | Err(Halt::Stop) => Ok(()),
                Err(Halt::Failed(error)) => Err(error),
            }
        })]
    }
}
