//! A store that cannot be written or that refuses, and bytes that were read while they were young.

use tokio::time::Instant;

use super::*;
use crate::agents::change_detection::captures::Landing;
use crate::agents::change_detection::edge::Edge;
use crate::agents::change_detection::marks::{Class, Mark, Place};
use crate::agents::change_detection::pulse::Pulse;
use crate::agents::change_detection::roots;
use crate::store::{PublishedEvent, WriteError};

/// A loop that has not turned yet, with one path in hand.
async fn in_hand(bed: &Bed) -> (Edge, Place, Mark) {
    let mut edge = Edge::new(&bed.agent(), Pulse::default()).await.unwrap();
    let place = Place::new(0, b"a.md");
    let mark = Mark::new(Class::Watch, Instant::now(), Duration::ZERO).of_scan(true);
    assert!(edge.marks.mark(place.clone(), mark));
    let (place, mark) = take(&mut edge);
    (edge, place, mark)
}

fn take(edge: &mut Edge) -> (Place, Mark) {
    let later = Instant::now() + Duration::from_secs(3600);
    let taken = edge.marks.take(Class::Watch, later, 1, |_| false).remove(0);
    edge.busy.insert(taken.0.clone());
    taken
}

fn landing(place: &Place, mark: &Mark, result: Result<Vec<PublishedEvent>, WriteError>) -> Landing {
    Landing::Path {
        place: place.clone(),
        mark: mark.clone(),
        young: false,
        result,
    }
}

#[tokio::test]
async fn while_the_store_cannot_be_written_marks_stay_and_the_pause_grows() {
    let bed = Bed::made(&[]);
    let (mut edge, place, mut mark) = in_hand(&bed).await;
    let full = || Err(WriteError::Unavailable("disk full".to_owned()));
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        edge.land(landing(&place, &mark, full())).unwrap();
        let pause = edge.pause.as_mut().unwrap();
        assert_eq!(pause.length, Duration::from_secs(seconds));
        assert_eq!(
            (edge.marks.len(), edge.marks.of_scan(), edge.busy.len()),
            (1, 1, 0)
        );
        assert!(!edge.may_work(Class::Watch));
        edge.report();
        let held = bed.desk.progress().borrow().held.clone();
        assert_eq!(held.unwrap(), "the store cannot be written: disk full");
        // The pause is over; the next attempt fails too.
        edge.pause.as_mut().unwrap().until = Instant::now();
        assert!(edge.may_work(Class::Watch));
        mark = take(&mut edge).1;
    }
    edge.land(landing(&place, &mark, Ok(Vec::new()))).unwrap();
    edge.report();
    assert_eq!((edge.marks.len(), edge.marks.of_scan()), (0, 0));
    assert_eq!(bed.desk.progress().borrow().held, None);
}

#[tokio::test]
async fn a_path_that_the_store_refuses_is_looked_at_again_ever_later() {
    let bed = Bed::made(&[]);
    let (mut edge, place, mut mark) = in_hand(&bed).await;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let refused = Err(WriteError::Invalid("somebody was faster".to_owned()));
        let now = Instant::now();
        edge.land(landing(&place, &mark, refused)).unwrap();
        assert!(edge.pause.is_none());
        waits.push((edge.marks.next_due(Class::Watch).unwrap() - now).as_secs());
        mark = take(&mut edge).1;
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 32, 32, 32]);
    let closed = edge.land(landing(&place, &mark, Err(WriteError::Closed)));
    assert!(closed.is_err());
}

#[tokio::test]
async fn what_was_read_while_it_was_young_is_read_again() {
    let bed = Bed::made(&[]);
    let (mut edge, place, mark) = in_hand(&bed).await;
    edge.land(Landing::Path {
        place,
        mark,
        young: true,
        result: Ok(Vec::new()),
    })
    .unwrap();
    assert_eq!((edge.marks.len(), edge.marks.of_scan()), (1, 0));
    assert!(take(&mut edge).1.reread);
}

#[tokio::test]
async fn a_capture_under_way_below_a_directory_that_went_is_looked_at_again() {
    let bed = Bed::made(&[]);
    let mut edge = Edge::new(&bed.agent(), Pulse::default()).await.unwrap();
    let (_, id) = roots::open(&bed.root()).unwrap();
    edge.adopt(0, id);
    let file = Place::new(0, b"d/x.md");
    edge.busy.insert(file.clone());
    edge.busy.insert(Place::new(0, b"dx.md"));
    let mark = Mark::new(Class::Watch, Instant::now(), Duration::ZERO);
    edge.marks.mark(Place::new(0, b"d"), mark);
    assert!(edge.look(Class::Watch).await.unwrap());
    let order = edge.orders[Class::Watch as usize].pop_front().unwrap();
    assert_eq!(order.base, b"d");
    edge.begin_survey(order).await.unwrap();
    let later = Instant::now() + Duration::from_secs(1);
    let marked = edge.marks.take(Class::Watch, later, 9, |_| false);
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0].0, file);
}
