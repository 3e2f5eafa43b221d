//! An answer that is being read, and the connection that it comes on.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::ClientError;
use crate::http::lines;

/// Bytes of the longest line of an answer.
pub(in crate::http) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection that must be polled for anything on it to go on.
pub(super) struct Driver(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

impl Driver {
    pub(super) fn new(
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    ) -> Self {
        Driver(Some(Box::pin(connection)))
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0 {
            // How it ended is told to whoever waits for the answer.
            if connection.as_mut().poll(context).is_ready() {
                self.0 = None;
            }
        }
    }

    /// Waits for `future`, and lets the connection go on meanwhile.
    pub(super) async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            self.poll(context);
            // What the connection brought may be what the future waits for.
            future.as_mut().poll(context)
        })
        .await
    }
}

/// An answer of lines that is being read.
pub struct LineStream {
    driver: Driver,
    body: Incoming,
    splitter: lines::LineSplitter,
    ended: bool,
}

impl LineStream {
    /// The lines of `body`, which comes on a connection.
    pub(super) fn new(driver: Driver, body: Incoming) -> Self {
        LineStream {
            driver,
            body,
            splitter: lines::LineSplitter::new(LINE_BYTES_MAX),
            ended: false,
        }
    }

    /// The next line, without its line feed; `None` at the end. May be dropped while it waits.
    ///
    /// # Errors
    /// The connection ended in the middle.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            match self.splitter.next() {
                Some(lines::Line::Whole(line)) => return Ok(Some(line)),
                Some(lines::Line::TooLong) => {
                    return Err(ClientError::Unexpected("a line is too long".to_owned()));
                }
                None if self.ended => return Ok(None),
                None => {}
            }
            match self.driver.drive(self.body.frame()).await {
                Some(frame) => {
                    if let Ok(bytes) = frame.map_err(ClientError::Lost)?.into_data() {
                        self.splitter.push(&bytes);
                    }
                }
                None => {
                    self.splitter.end();
                    self.ended = true;
                }
            }
        }
    }
}
