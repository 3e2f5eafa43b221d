//! An agent's inbox on a real Redis, driven by hand: the test decides when it is asked, when it hears, and what the table holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod group;
mod relay;
mod restart;
mod rounds;
mod switch;

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::testing::TestRedis;
use super::{Inbox, Link, LinkState};
use crate::bus::tests::{Ledger, Table};
use crate::bus::{Carrier, CopyId, Demand, Left, Offer};
use crate::event::{AgentName, Seq};

const INBOX: &str = "docent:{test}:inbox";

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a runner has place for.
const DEMAND: Demand = Demand {
    permits: 9,
    capacity: 9,
};

/// Without capacity the reader reads nothing.
const FULL: Demand = Demand {
    permits: 9,
    capacity: 0,
};

/// A link to a Redis, and its task.
struct Linked {
    link: Link,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Linked {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test stands in for the daemon"
    )]
    async fn to(server: &TestRedis, ledger: &Ledger) -> Self {
        let (link, task) = Link::new(server.settings(), ledger.store.clone());
        let stop = CancellationToken::new();
        let task = tokio::spawn(task.run(stop.clone()));
        let verdict = link.first_verdict().await;
        assert!(matches!(verdict, LinkState::Up { .. }), "{verdict:?}");
        Linked { link, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

struct Bench {
    ledger: Ledger,
    table: Table,
    server: TestRedis,
    linked: Linked,
    inbox: Inbox,
    /// What was offered, in order.
    offered: Vec<(Seq, CopyId)>,
}

impl Bench {
    async fn new() -> Self {
        Self::over(TestRedis::start(), Ledger::open()).await
    }

    async fn over(server: TestRedis, ledger: Ledger) -> Self {
        let linked = Linked::to(&server, &ledger).await;
        let inbox = Inbox::new(linked.link.clone(), AgentName::Test);
        Bench {
            ledger,
            table: Table::default(),
            server,
            linked,
            inbox,
            offered: Vec::new(),
        }
    }

    /// Asks for offers; the table takes them in.
    async fn ask(&mut self, demand: Demand) {
        let offers = self.inbox.offer(&self.table, demand).await.unwrap();
        for Offer { seq, copy, .. } in offers {
            self.table.take(seq, self.ledger.subject(seq), copy.clone());
            self.offered.push((seq, copy.unwrap()));
        }
    }

    /// Hears what calls have ended with, for a moment.
    async fn hear(&mut self, demand: Demand) {
        let moment = Duration::from_millis(20);
        // Nothing to hear is no fault.
        tokio::time::timeout(moment, self.inbox.woken(demand))
            .await
            .ok();
    }

    /// Lets it work, with so much capacity, until this is so.
    async fn until(&mut self, demand: Demand, what: &str, so: impl Fn(&Bench) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            assert!(Instant::now() < deadline, "not so: {what}");
            self.ask(demand).await;
            self.hear(DEMAND).await;
        }
    }

    /// Lets it work until so many whole rounds have ended.
    async fn rounds(&mut self, count: u64) {
        let begun = self.pages();
        // Each round asks for what is pending once; the next one asks when this one has been judged.
        let ended = |bench: &Bench| bench.pages() > begun + count;
        self.until(DEMAND, "rounds end", ended).await;
    }

    /// How often anybody has asked for what is pending.
    fn pages(&self) -> u64 {
        let stats = self.server.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find(|l| l.starts_with("cmdstat_xpending:"));
        let calls = line.and_then(|line| line.split_once("calls="));
        let calls = calls.and_then(|(_, rest)| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    }

    /// Entries that were ever added to the inbox since it was made.
    fn added(&self) -> u64 {
        let facts = self.server.cli(&["XINFO", "STREAM", INBOX]);
        let mut lines = facts.lines();
        lines.find(|line| *line == "entries-added");
        lines.next().map_or(0, |count| count.parse().unwrap())
    }

    /// Entries in the inbox.
    fn entries(&self) -> Vec<String> {
        ids(&self.server.cli(&["XRANGE", INBOX, "-", "+"]))
    }

    /// Entries that are pending on anybody.
    fn pending(&self) -> Vec<String> {
        let page = ["XPENDING", INBOX, "docent", "-", "+", "100"];
        ids(&self.server.cli(&page))
    }

    fn lost(&self) -> u64 {
        self.linked.link.lost()
    }

    /// Works until the first round has ended and no read is under way; without capacity none begins.
    async fn stand_still(&mut self) {
        self.rounds(2).await;
        let no_reader = |bench: &Bench| {
            let clients = bench.server.cli(&["INFO", "clients"]);
            clients.contains("blocked_clients:0")
        };
        self.until(FULL, "no read is under way", no_reader).await;
    }

    /// Publishes an event of this subject and has it carried, while nothing is read. Gives its entry too.
    async fn carry(&mut self, name: &str) -> (Seq, String) {
        self.stand_still().await;
        let before = self.added();
        let seq = self.ledger.publish(name).await;
        let carried = |bench: &Bench| bench.added() > before;
        self.until(FULL, "it is carried", carried).await;
        // Its reply is there as well once another call on the same connection has been answered.
        self.hear(FULL).await;
        (seq, self.entries().pop().unwrap())
    }

    /// Lets it work, without reading, until an XADD is on its way whose reply it has not heard.
    async fn until_sent(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let before = self.added();
        loop {
            self.ask(FULL).await;
            if self.inbox.carried() > 0 {
                return;
            }
            assert!(Instant::now() < deadline, "nothing is carried");
            self.hear(DEMAND).await;
            assert_eq!(self.added(), before, "it was sent and is not outstanding");
        }
    }

    /// Lets it work until this delivery was offered so often.
    async fn until_offered(&mut self, seq: Seq, times: usize) {
        let offered = |bench: &Bench| bench.copies(seq).len() >= times;
        self.until(DEMAND, "it is offered", offered).await;
    }

    /// The entries by which it was offered.
    fn copies(&self, seq: Seq) -> Vec<&str> {
        let offered = self.offered.iter().filter(|(offered, _)| *offered == seq);
        offered.map(|(_, copy)| copy.entry.as_str()).collect()
    }

    /// Its handler has ended well, and the commit is reported.
    async fn handled(&mut self, seq: Seq) {
        self.ledger.done(seq).await;
        let copies = self.table.leave(seq);
        let subject = self.ledger.subject(seq);
        self.inbox.left(seq, Some(subject), Left::Settled);
        self.inbox.acknowledge(copies);
    }

    /// Cuts every connection, and waits until the link has another one.
    async fn cut(&mut self) {
        let before = self.linked.link.epoch();
        self.server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let mut state = self.linked.link.state();
        let another = state.wait_for(
            |state| matches!(state, LinkState::Up { epoch, .. } if Some(*epoch) != before),
        );
        let waited = tokio::time::timeout(PATIENCE, another).await;
        assert!(waited.is_ok(), "no other connection");
    }

    async fn end(self) {
        self.linked.end().await;
    }
}

/// The ids in what redis-cli printed.
fn ids(text: &str) -> Vec<String> {
    let id = |line: &&str| {
        let parts = line.split_once('-');
        parts.is_some_and(|(ms, n)| ms.parse::<u64>().is_ok() && n.parse::<u64>().is_ok())
    };
    text.lines().filter(id).map(str::to_owned).collect()
}

/// The command by which a consumer of our group reads one entry.
fn read_as(consumer: &str) -> [&str; 9] {
    [
        "XREADGROUP",
        "GROUP",
        "docent",
        consumer,
        "COUNT",
        "1",
        "STREAMS",
        INBOX,
        ">",
    ]
}
