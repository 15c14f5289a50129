//! `GET /services/{name}/mirror`: answers of a mirrored version beside the live ones.

use axum::{
    Json as JsonReply,
    extract::{Path, State},
};
use lusk_domain::{Failure, FailureCode};
use serde_json::{Value, json};

use super::{
    Shared,
    fault::Fault,
    found::{Named, no_endpoint},
    input::Params,
};

/// Pairs that are shown unless asked otherwise, and at most.
const DEFAULT_TAIL: usize = 100;
const MOST: usize = 1_000;

/// The last pairs that were kept, oldest first.
pub(crate) async fn tail(
    State(admin): Shared,
    Path(named): Path<Named>,
    params: Params,
) -> Result<JsonReply<Value>, Fault> {
    let name = named.service()?;
    let tail = params.parsed("tail")?.unwrap_or(DEFAULT_TAIL);
    if tail > MOST {
        return Err(Fault::bad_request(format!(
            "query parameter `tail` is {tail}, at most {MOST} pairs are shown"
        )));
    }
    if admin.control.endpoint(&name).await?.is_none() {
        return Err(match admin.control.service(&name).await? {
            Some(_) => Fault::bad_request(format!(
                "`{name}` is a service without versions; only endpoints mirror requests"
            )),
            None => no_endpoint(&name),
        });
    }
    let log = &admin.options.mirror_log;
    let pairs = log.tail(&name, tail).await.map_err(|error| {
        tracing::warn!(endpoint = %name, %error, "mirrored answers cannot be read");
        let text = format!("the mirrored answers of `{name}` cannot be read: {error}");
        Fault::from(Failure::new(FailureCode::StorageFailed, text))
    })?;
    Ok(JsonReply(object(pairs, log.dropped(&name))))
}

fn object(pairs: Vec<Value>, dropped: u64) -> Value {
    let equal = pairs.iter().filter(|pair| pair["equal"] == true).count();
    json!({
        "equal": equal,
        "different": pairs.len() - equal,
        "dropped": dropped,
        "pairs": pairs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_equal_is_different() {
        let pairs = vec![
            json!({"equal": true}),
            json!({"equal": false}),
            json!({"equal": false}),
        ];
        let shown = object(pairs.clone(), 7);
        assert_eq!(
            shown,
            json!({"equal": 1, "different": 2, "dropped": 7, "pairs": pairs})
        );
    }
}
