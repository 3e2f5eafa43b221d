//! The runs of several hosts whose lease is the hold. A run a line, so this file is not formatted.

use super::{Expect, Run, Size, Which};
use crate::leases::{Ends, Faults, GivesUp, LeaseHosts, Rules, Setting, Settles, Terms};
use crate::model::Broken;

const BASE: Setting = Setting::QUIET;
const ONE: Setting = Setting { faults: 1, ..BASE };
/// The oldest was attempted, so that the next may overtake it.
const RETRY: Setting = Setting { attempted: true, ..ONE };
const TWO: Setting = Setting { faults: 2, ..BASE };
/// Whoever was killed comes back, and nothing may wait until a row is stale.
const HURRY: Setting = Setting { hurries: true, may: KILL, ..ONE };

const NONE: Faults = Faults::NONE;
const KILL: Faults = Faults { kill: true, ..NONE };
const PAUSE: Faults = Faults { pause: true, ..NONE };
const CUT: Faults = Faults { cut: true, ..NONE };
const RESTORE: Faults = Faults { restore: true, ..NONE };
const PROCESS: Faults = Faults { kill: true, pause: true, replaced: true, ..NONE };
const WIRE: Faults = Faults { cut: true, restart: true, slow_renewal: true, failed_look: true, ..NONE };
const HOSTS: Faults = Faults { cut: true, restart: true, slow_renewal: true, failed_look: true, ..PROCESS };

pub(super) fn runs() -> Vec<Run> {
    let mut runs = as_they_hold();
    runs.extend(broken_settlement());
    runs.extend(broken_leases());
    runs.extend(broken_looks());
    runs
}

fn run(name: &'static str, size: Size, expect: Expect, setting: Setting) -> Run {
    Run { name, size, expect, model: Which::Leases(LeaseHosts(setting)) }
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

fn as_they_hold() -> Vec<Run> {
    vec![
        quick("leases-quiet", Setting { failures: true, unavailable: 1, moves: 2, ..BASE }),
        quick("leases-process", Setting { may: PROCESS, ..ONE }),
        quick("leases-process-retry", Setting { may: PROCESS, failures: true, ..RETRY }),
        quick("leases-wire", Setting { may: WIRE, ..ONE }),
        quick("leases-wire-retry", Setting { may: WIRE, failures: true, ..RETRY }),
        quick("leases-moves", Setting { may: HOSTS, moves: 1, ..ONE }),
        quick("leases-restore", Setting { may: RESTORE, deliveries: 1, ..ONE }),
        quick("leases-hurry", Setting { failures: true, moves: 1, ..HURRY }),
        long("leases-settle-names-holder-pause", Setting { rules: Rules::but(|r| r.settles = Settles::Holder), may: PAUSE, failures: true, moves: 1, ..ONE }),
        long("leases-failures", Setting { may: HOSTS, failures: true, unavailable: 1, ..ONE }),
        long("leases-moves-retry", Setting { may: HOSTS, moves: 1, failures: true, ..RETRY }),
        long("leases-process-2", Setting { may: PROCESS, moves: 1, ..TWO }),
        long("leases-wire-2", Setting { may: WIRE, ..TWO }),
        long("leases-mixed-2", Setting { may: HOSTS, ..TWO }),
        long("leases-mixed-retry-2", Setting { may: HOSTS, attempted: true, ..TWO }),
        long("leases-restore-order", Setting { may: RESTORE, ..ONE }),
        long("leases-restore-kill-2", Setting { may: Faults { kill: true, ..RESTORE }, deliveries: 1, kept_at_first: true, ..TWO }),
        long("leases-restore-pause-2", Setting { may: Faults { pause: true, ..RESTORE }, deliveries: 1, kept_at_first: true, ..TWO }),
        long("leases-restore-cut-2", Setting { may: Faults { cut: true, ..RESTORE }, deliveries: 1, kept_at_first: true, ..TWO }),
        long("leases-restore-retry", Setting { may: RESTORE, ..RETRY }),
    ]
}

fn broken_settlement() -> Vec<Run> {
    let pause = Setting { may: PAUSE, failures: true, ..ONE };
    let cut = Setting { may: CUT, ..pause };
    let restore = Setting { may: RESTORE, ..ONE };
    let kept = Setting { failures: true, kept_at_first: true, hurries: true, ..restore };
    vec![
        breaks("leases-settle-names-nothing", Broken::StaleEffect, |r| r.settles = Settles::Anything, pause),
        breaks("leases-settle-names-term", Broken::Order, |r| r.settles = Settles::Term, restore),
        breaks("leases-no-settles-only-what-is-owed", Broken::EffectTwice, |r| r.settles_only_what_is_owed = false, Setting { moves: 1, failures: false, ..pause }),
        breaks("leases-no-sends-after-lock", Broken::StaleEffect, |r| r.sends_after_lock = false, cut),
        breaks("leases-no-finds-out-its-batch", Broken::StaleEffect, |r| r.finds_out_its_batch = false, cut),
        breaks("leases-no-frozen-session-ends", Broken::Stranded, |r| r.frozen_session_ends = false, pause),
        breaks("leases-no-compares-batches", Broken::Order, |r| r.compares_batches = false, restore),
        breaks("leases-no-compares-batches-1", Broken::Stranded, |r| r.compares_batches = false, Setting { deliveries: 1, ..restore }),
        breaks("leases-terms-by-number", Broken::StaleEffect, |r| r.terms = Terms::ByNumberOfTransfers, kept),
        long("leases-terms-by-number-in-session", Setting { rules: Rules::but(|r| r.terms = Terms::ByNumberInSession), ..kept }),
    ]
}

fn broken_leases() -> Vec<Run> {
    let moves = Setting { moves: 1, ..BASE };
    let again = Setting { moves: 2, failures: true, ..BASE };
    vec![
        breaks("leases-no-stop-without-trust", Broken::Overlap, |r| r.stops_without_trust = false, Setting { may: CUT, ..ONE }),
        breaks("leases-end-by-clock", Broken::Overlap, |r| r.ends = Ends::ByClock, Setting { may: Faults { slow_renewal: true, ..NONE }, ..ONE }),
        breaks("leases-give-up-always", Broken::Overlap, |r| r.gives_up = GivesUp::Always, moves),
        breaks("leases-give-up-submitted", Broken::StaleEffect, |r| { r.gives_up = GivesUp::WhenNothingRuns; r.settles = Settles::Anything; }, Setting { failures: true, ..moves }),
        // Refusing makes up for it.
        quick("leases-give-up-submitted-refused", Setting { rules: Rules::but(|r| r.gives_up = GivesUp::WhenNothingRuns), ..again }),
        breaks("leases-give-up-submitted-names-holder", Broken::StaleEffect, |r| { r.gives_up = GivesUp::WhenNothingRuns; r.settles = Settles::Holder; }, again),
        // The term is the second of two locks: where nothing in flight is given up, the incarnation alone would do.
        quick("leases-settle-names-holder", Setting { rules: Rules::but(|r| r.settles = Settles::Holder), ..again }),
        breaks("leases-no-successor-ends", Broken::Stranded, |r| r.successor_ends = false, HURRY),
        breaks("leases-ended-may-take", Broken::Stranded, |r| r.only_living_take = false, Setting { may: PAUSE, ..ONE }),
        breaks("leases-no-waits-for-earlier-session", Broken::Overlap, |r| r.waits_for_earlier_session = false, Setting { moves: 1, may: CUT, ..ONE }),
    ]
}

fn broken_looks() -> Vec<Run> {
    let cut = Setting { may: CUT, ..ONE };
    vec![
        breaks("leases-no-anew-when-gained", Broken::Stranded, |r| r.anew_when_gained = false, BASE),
        breaks("leases-no-anew-when-gained-while-moving", Broken::Stranded, |r| r.anew_when_gained_while_moving = false, BASE),
        breaks("leases-no-anew-when-trusted", Broken::Stranded, |r| r.anew_when_trusted = false, cut),
        breaks("leases-no-anew-when-trusted-and-failing", Broken::Stranded, |r| r.anew_when_trusted_and_failing = false, Setting { faults: 2, ..cut }),
        breaks("leases-no-anew-when-it-stays", Broken::Stranded, |r| r.anew_when_it_stays = false, Setting { moves: 1, ..BASE }),
        breaks("leases-no-failed-look-again", Broken::Stranded, |r| r.failed_look_is_made_again = false, Setting { may: Faults { failed_look: true, ..NONE }, ..ONE }),
    ]
}
