//! The runs of one host. A run a line, so this file is not formatted.

use super::{Expect, Run, Size, Which};
use crate::host::{Faults, OneHost, Rules, Setting};
use crate::model::Broken;

const BASE: Setting = Setting::QUIET;
const ONE: Setting = Setting { faults: 1, ..BASE };
const TWO: Setting = Setting { faults: 2, ..BASE };
/// Two subjects and one permit.
const THREE: Setting = Setting { subjects: &[0, 1, 0], permits: 1, ..BASE };

const NONE: Faults = Faults::NONE;
const PROCESS: Faults = Faults { kill: true, stall: true, replaced: true, unsettled: true, ..NONE };
const WIRE: Faults = Faults { kill: true, relay_wire: true, reader_wire: true, lost_acknowledgement: true, ..NONE };
const LOSS: Faults = Faults { flush: true, meddling: true, old_copies: true, lost_acknowledgement: true, ..NONE };
const ACK: Faults = Faults { lost_acknowledgement: true, ..NONE };
const MIXED: Faults = Faults { kill: true, replaced: true, ..LOSS };

pub(super) fn runs() -> Vec<Run> {
    let mut runs = as_they_hold();
    runs.extend(broken_table());
    runs.extend(broken_rounds());
    runs.extend(broken_cursor());
    runs
}

fn run(name: &'static str, size: Size, expect: Expect, setting: Setting) -> Run {
    Run { name, size, expect, model: Which::OneHost(OneHost(setting)) }
}

fn quick(name: &'static str, setting: Setting) -> Run {
    run(name, Size::Quick, Expect::Holds, setting)
}

fn long(name: &'static str, setting: Setting) -> Run {
    run(name, Size::Long, Expect::Holds, setting)
}

/// A rule is taken away.
fn breaks(name: &'static str, broken: Broken, change: fn(&mut Rules), setting: Setting) -> Run {
    let setting = Setting { rules: Rules::but(change), ..setting };
    run(name, Size::Quick, Expect::Breaks(broken), setting)
}

fn as_they_hold() -> Vec<Run> {
    vec![
        quick("host-quiet", Setting { transient: true, permanent: true, unavailable: 1, ..BASE }),
        quick("host-process", Setting { may: PROCESS, transient: true, ..ONE }),
        quick("host-wire", Setting { may: WIRE, transient: true, ..ONE }),
        quick("host-loss", Setting { may: LOSS, transient: true, ..ONE }),
        quick("host-switch", Setting { may: PROCESS, switches: 2, ..ONE }),
        quick("host-permits", Setting { unavailable: 1, switches: 1, ..THREE }),
        // A copy carries no promise: acknowledging it too early only costs another copy.
        quick("host-acknowledges-early", Setting { rules: Rules::but(|r| r.acknowledges_after_commit = false), may: PROCESS, ..ONE }),
        long("host-replay", Setting { transient: true, permanent: true, replays: 1, ..BASE }),
        long("host-process-2", Setting { may: PROCESS, unavailable: 1, transient: true, ..TWO }),
        long("host-wire-2", Setting { may: WIRE, transient: true, ..TWO }),
        long("host-loss-2", Setting { may: LOSS, transient: true, ..TWO }),
        long("host-mixed-2", Setting { may: MIXED, switches: 1, ..TWO }),
        long("host-permits-2", Setting { may: PROCESS, faults: 2, unavailable: 1, switches: 1, ..THREE }),
    ]
}

fn broken_table() -> Vec<Run> {
    let process = Setting { may: PROCESS, transient: true, ..ONE };
    let quiet = Setting { unavailable: 1, ..BASE };
    vec![
        breaks("host-no-settles-only-what-is-owed", Broken::SettledAgain, |r| r.settles_only_what_is_owed = false, process),
        breaks("host-no-fence", Broken::StaleEffect, |r| r.fence = false, process),
        breaks("host-no-refuses-what-was-not-taken", Broken::StaleEffect, |r| r.refuses_what_was_not_taken = false, process),
        breaks("host-no-waits-for-what-was-taken", Broken::StaleEffect, |r| r.waits_for_what_was_taken = false, process),
        breaks("host-no-subject-until-commit", Broken::Order, |r| r.subject_until_commit = false, quiet),
        breaks("host-no-oldest-first", Broken::Order, |r| r.oldest_first = false, Setting { may: WIRE, ..ONE }),
        breaks("host-no-paused-holds-subject", Broken::Order, |r| r.paused_holds_subject = false, quiet),
        breaks("host-offer-ends-pause", Broken::PauseCut, |r| { r.paused_holds_subject = false; r.offer_ends_no_pause = false; }, quiet),
    ]
}

fn broken_rounds() -> Vec<Run> {
    vec![
        breaks("host-no-reads-pending-each-round", Broken::Stranded, |r| r.reads_pending_each_round = false, Setting { may: ACK, ..ONE }),
        breaks("host-no-judges-after-pending", Broken::CountedAsLost, |r| r.judges_after_pending = false, Setting { may: WIRE, ..ONE }),
        breaks("host-no-judges", Broken::Stranded, |r| r.judges = false, Setting { may: LOSS, ..ONE }),
        breaks("host-no-lists-before-last-id", Broken::CountedAsLost, |r| r.lists_before_last_id = false, BASE),
    ]
}

fn broken_cursor() -> Vec<Run> {
    let switched = Setting { switches: 1, ..BASE };
    vec![
        breaks("host-no-back-when-entry-ends", Broken::Stranded, |r| r.back_when_entry_ends = false, Setting { may: WIRE, ..ONE }),
        breaks("host-no-unsettled-is-paused", Broken::Stranded, |r| r.unsettled_is_paused = false, Setting { may: PROCESS, switches: 1, ..ONE }),
        breaks("host-no-back-when-replaced", Broken::Stranded, |r| r.back_when_replaced = false, Setting { may: PROCESS, switches: 1, ..ONE }),
        breaks("host-no-back-at-switch", Broken::Stranded, |r| r.back_at_switch = false, switched),
        breaks("host-no-back-at-replay", Broken::Stranded, |r| r.back_at_replay = false, Setting { permanent: true, replays: 1, ..BASE }),
        breaks("host-no-asks-for-next", Broken::Stranded, |r| r.asks_for_next = false, switched),
    ]
}
