//! The audit log.

use axum::extract::State as Shared;

use super::State;
use super::lines::{Json, Lines, PAGE, Page, paged};
use super::openapi::About;
use super::wire::{AuditHead, AuditRecord, AuditVerdict, Problem};
use crate::store::AuditChain;

pub(super) const LIST: About = About::new("List the records of the audit log, oldest first");

/// `GET /api/v1/audit`: all records, oldest first, one a line, each with its hash as the last key.
pub(super) async fn list(Shared(state): Shared<State>) -> Result<Lines<AuditRecord>, Problem> {
    paged(0, move |after| {
        let store = state.store.clone();
        async move {
            let records = store.audit_lines(after, PAGE).await?;
            let Some(last) = records.last().map(|record| record.n) else {
                return Ok(None);
            };
            let mut page = Page::default();
            for record in &records {
                page.push_written(&record.printed());
            }
            Ok(Some((page, last)))
        }
    })
    .await
}

/// `GET /api/v1/audit/verify`
pub(super) const VERIFY: About = About::new("Check the chain of the audit log");

pub(super) async fn verify(Shared(state): Shared<State>) -> Result<Json<AuditVerdict>, Problem> {
    Ok(Json(match state.store.verify_audit().await? {
        Ok(AuditChain { records, head }) => AuditVerdict {
            intact: true,
            records: Some(records),
            head: head.map(|(n, hash)| AuditHead { n, hash }),
            broken_at: None,
            why: None,
        },
        Err(broken) => AuditVerdict {
            intact: false,
            records: None,
            head: None,
            broken_at: Some(broken.n),
            why: Some(broken.why),
        },
    }))
}
