//! The audit log.

use axum::extract::State as Shared;
use axum::response::Response;

use super::State;
use super::lines::{Json, PAGE, paged};
use super::wire::{AuditVerdict, Problem};

/// `GET /api/v1/audit`: all records, oldest first, one a line, each with its hash as the last key.
pub(super) async fn list(Shared(state): Shared<State>) -> Result<Response, Problem> {
    paged(0, move |after| {
        let store = state.store.clone();
        async move {
            let records = store.audit_lines(after, PAGE).await?;
            let Some(last) = records.last().map(|record| record.n) else {
                return Ok(None);
            };
            let mut page = Vec::new();
            for record in &records {
                page.extend_from_slice(record.printed().as_bytes());
                page.push(b'\n');
            }
            Ok(Some((page, last)))
        }
    })
    .await
}

pub(super) async fn verify(Shared(state): Shared<State>) -> Result<Json<AuditVerdict>, Problem> {
    Ok(Json(match state.store.verify_audit().await? {
        Ok(records) => AuditVerdict {
            intact: true,
            records: Some(records),
            broken_at: None,
            why: None,
        },
        Err(broken) => AuditVerdict {
            intact: false,
            records: None,
            broken_at: Some(broken.n),
            why: Some(broken.why),
        },
    }))
}
