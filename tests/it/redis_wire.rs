//! What happens on the way to Redis: replies that are lost, frames that are cut, silence. Nobody can know then whether Redis has
//! done what it was asked for; nothing is lost, and no effect is there twice.

use std::time::{Duration, Instant};

use crate::helper::World;
use crate::load::{pause, seed};
use crate::redis_server::RedisServer;
use crate::under_load::under_load_at;
use crate::wire::{Fault, Wire};

/// Replies that fail in one test.
const FAILURES: usize = 40;

/// A daemon in this mode, with a wire to its Redis that does something.
fn over_a_wire(mode: &str, fault: impl Fn(&Wire, &World)) {
    let (redis, seed) = (RedisServer::start(), seed());
    let wire = Wire::to(redis.socket(), seed);
    under_load_at(redis, (&wire.url(), mode), seed, |_, world| {
        fault(&wire, world);
    });
}

fn replies_fail(fault: Fault) {
    over_a_wire("redis", |wire, world| {
        wire.set(fault);
        world.until("replies fail", || wire.happened() >= FAILURES);
        wire.set(Fault::None);
        println!("{} replies failed", wire.happened());
    });
}

#[test]
fn replies_are_swallowed() {
    replies_fail(Fault::Swallow);
}

#[test]
fn frames_are_cut() {
    replies_fail(Fault::Cut);
}

#[test]
fn silence_without_a_goodbye() {
    over_a_wire("auto", |wire, world| {
        wire.set(Fault::Silence);
        let began = Instant::now();
        world.until_carried_by("embedded");
        println!(
            "the embedded carrier took over {:?} after the silence began",
            began.elapsed()
        );
        pause(Duration::from_secs(8).saturating_sub(began.elapsed()));
        wire.set(Fault::None);
        let began = Instant::now();
        world.until_carried_by("redis");
        println!("back on Redis after {:?}", began.elapsed());
    });
}
