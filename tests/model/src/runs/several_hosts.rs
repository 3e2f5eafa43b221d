//! The runs of several hosts. A run a line, so this file is not formatted.

use super::{Expect, Run, Size, Which};
use crate::hosts::{Captures, Claiming, Faults, Hosts, Judging, Liveness, OwnHolds, Rules, Setting};
use crate::model::Broken;

const BASE: Setting = Setting::QUIET;
const ONE: Setting = Setting { faults: 1, ..BASE };
/// The oldest was attempted, so that the next may overtake it.
const RETRY: Setting = Setting { attempted: true, ..ONE };
const SINGLE: Setting = Setting { faults: 2, deliveries: 1, ..BASE };
const FILE: Setting = Setting { faults: 2, deliveries: 0, edits: 2, ..BASE };

const NONE: Faults = Faults::NONE;
const KILL: Faults = Faults { kill: true, ..NONE };
const PAUSE: Faults = Faults { pause: true, ..NONE };
const CUT: Faults = Faults { cut: true, ..NONE };
const RESTORE: Faults = Faults { restore: true, ..NONE };
const LATE_COPY: Faults = Faults { late_copy: true, ..NONE };
const PROCESS: Faults = Faults { kill: true, pause: true, replaced: true, ..NONE };
const WIRE: Faults = Faults { cut: true, restart: true, slow_renewal: true, ..NONE };
const REDIS: Faults = Faults { redis_wire: true, late_copy: true, flush: true, ..NONE };
const HOSTS: Faults = Faults { cut: true, restart: true, slow_renewal: true, ..PROCESS };

pub(super) fn runs() -> Vec<Run> {
    let mut runs = as_they_hold();
    runs.extend(broken_settlement());
    runs.extend(broken_holds());
    runs.extend(broken_relay());
    runs.extend(broken_captures());
    runs
}

fn run(name: &'static str, size: Size, expect: Expect, setting: Setting) -> Run {
    Run { name, size, expect, model: Which::Hosts(Hosts(setting)) }
}

fn quick(name: &'static str, setting: Setting) -> Run {
    run(name, Size::Quick, Expect::Holds, setting)
}

fn long(name: &'static str, setting: Setting) -> Run {
    run(name, Size::Long, Expect::Holds, setting)
}

/// A rule is taken away, or is another one.
fn breaks(name: &'static str, broken: Broken, change: fn(&mut Rules), setting: Setting) -> Run {
    let setting = Setting { rules: Rules::but(change), ..setting };
    run(name, Size::Quick, Expect::Breaks(broken), setting)
}

/// The same, and it takes many states to find.
fn breaks_late(name: &'static str, broken: Broken, change: fn(&mut Rules), setting: Setting) -> Run {
    Run { size: Size::Long, ..breaks(name, broken, change, setting) }
}

fn as_they_hold() -> Vec<Run> {
    vec![
        quick("hosts-quiet", Setting { failures: true, unavailable: 1, ..BASE }),
        quick("hosts-switch", Setting { switches: 2, ..BASE }),
        quick("hosts-process", Setting { may: PROCESS, ..RETRY }),
        quick("hosts-wire", Setting { may: WIRE, ..RETRY }),
        quick("hosts-redis", Setting { may: REDIS, failures: true, ..RETRY }),
        quick("hosts-restore", Setting { may: RESTORE, faults: 1, ..SINGLE }),
        quick("hosts-name", Setting { same_name: true, may: PROCESS, ..RETRY }),
        quick("hosts-capture", Setting { may: PROCESS, faults: 1, ..FILE }),
        long("hosts-first-attempts", Setting { may: HOSTS, ..ONE }),
        long("hosts-failures", Setting { may: Faults { flush: true, ..HOSTS }, failures: true, ..RETRY }),
        long("hosts-permits", Setting { may: HOSTS, permits: 2, unavailable: 1, ..RETRY }),
        long("hosts-embedded", Setting { may: HOSTS, switches: 1, ..RETRY }),
        long("hosts-kill-2", Setting { may: Faults { replaced: true, ..KILL }, ..SINGLE }),
        long("hosts-wire-2", Setting { may: WIRE, faults: 2, ..RETRY }),
        long("hosts-redis-2", Setting { may: Faults { kill: true, ..REDIS }, ..SINGLE }),
        long("hosts-mixed-2", Setting { may: Faults { kill: true, cut: true, redis_wire: true, ..NONE }, ..SINGLE }),
        long("hosts-restore-order", Setting { may: RESTORE, ..RETRY }),
        long("hosts-capture-2", Setting { may: Faults { pause: true, ..RESTORE }, ..FILE }),
    ]
}

fn broken_settlement() -> Vec<Run> {
    let pause = Setting { may: PAUSE, ..ONE };
    let late = Setting { may: LATE_COPY, ..ONE };
    let replaced = Setting { may: Faults { replaced: true, ..CUT }, faults: 2, ..RETRY };
    vec![
        breaks("hosts-no-refused-changes-nothing", Broken::Lost, |r| r.refused_changes_nothing = false, pause),
        breaks("hosts-no-settle-asks-for-holder", Broken::EffectTwice, |r| r.settle_asks_for_holder = false, Setting { deliveries: 1, ..pause }),
        breaks("hosts-no-settle-asks-for-token", Broken::Overlap, |r| r.settle_asks_for_token = false, replaced),
        breaks("hosts-no-take-asks-for-subject", Broken::Overlap, |r| r.take_asks_for_subject = false, Setting { attempted: true, ..late }),
        breaks("hosts-no-take-asks-for-older", Broken::Order, |r| r.take_asks_for_older = false, late),
    ]
}

fn broken_holds() -> Vec<Run> {
    let cut = Setting { may: CUT, ..ONE };
    let slow = Setting { may: Faults { slow_renewal: true, ..LATE_COPY }, faults: 2, ..RETRY };
    vec![
        breaks("hosts-valid-while-fresh", Broken::Overlap, |r| r.liveness = Liveness::WhileFresh, Setting { may: Faults { late_copy: true, ..PAUSE }, faults: 2, ..RETRY }),
        breaks("hosts-valid-while-fresh-and-never-again", Broken::Overlap, |r| r.liveness = Liveness::WhileFreshAndNeverAgain, slow),
        breaks("hosts-no-stop-without-trust", Broken::Overlap, |r| r.stops_without_trust = false, cut),
        breaks("hosts-own-holds-never", Broken::Stranded, |r| r.own_holds = OwnHolds::Never, cut),
        breaks("hosts-own-holds-at-reconnect", Broken::Stranded, |r| r.own_holds = OwnHolds::AtReconnect, cut),
        breaks("hosts-own-holds-while-taking", Broken::Overlap, |r| r.own_holds = OwnHolds::AlsoWhileTaking, Setting { may: LATE_COPY, ..ONE }),
    ]
}

fn broken_relay() -> Vec<Run> {
    let kill = Setting { may: KILL, ..ONE };
    let late = Setting { may: LATE_COPY, ..RETRY };
    let passed = Setting { switches: 1, deliveries: 1, ..kill };
    let restore = Setting { may: RESTORE, deliveries: 1, ..ONE };
    vec![
        breaks("hosts-judge-never", Broken::Stranded, |r| r.judging = Judging::Never, kill),
        breaks("hosts-judge-own-pending", Broken::CarriedForever, |r| r.judging = Judging::OwnPending, BASE),
        breaks("hosts-judge-delivery", Broken::CarriedForever, |r| r.judging = Judging::GroupThenDelivery, late),
        breaks("hosts-no-relay-looks-in-table", Broken::CarriedForever, |r| r.relay_looks_in_table = false, Setting { may: REDIS, ..ONE }),
        breaks("hosts-claim-never", Broken::Stranded, |r| r.claiming = Claiming::Never, kill),
        breaks("hosts-claim-once", Broken::Stranded, |r| r.claiming = Claiming::Once, kill),
        breaks("hosts-no-ended-hold-moves-cursor", Broken::Stranded, |r| r.ended_hold_moves_cursor = false, passed),
        breaks("hosts-no-compares-batches", Broken::Stranded, |r| r.compares_batches = false, restore),
    ]
}

fn broken_captures() -> Vec<Run> {
    let restored = Setting { may: Faults { pause: true, ..RESTORE }, ..FILE };
    vec![
        breaks("hosts-capture-names-nothing", Broken::OlderCapture, |r| r.captures = Captures::Nothing, Setting { may: PAUSE, ..FILE }),
        breaks("hosts-capture-names-term", Broken::OlderCapture, |r| r.captures = Captures::Term, restored),
        breaks_late("hosts-capture-of-a-lost-term", Broken::OlderCapture, |r| r.compares_batches = false, restored),
    ]
}
