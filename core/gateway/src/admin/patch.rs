//! JSON Patch (RFC 6902) on a service or an endpoint, with the paths that the
//! original's SDK sends and some of our own. A path that is not known is refused by
//! name: a change that has no effect must not look like one that was done.

use serde::Deserialize;
use serde_json::Value;

use super::{fault::Fault, input::Json};

mod endpoint;
mod service;

pub(crate) use endpoint::{EndpointPatch, update_endpoint};
pub(crate) use service::update_service;

/// Most operations of one patch; the SDK sends at most one for each setting and
/// property.
const MAX_OPERATIONS: usize = 1_000;

/// One operation, its path not looked at yet.
#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

/// One operation that can be done.
#[derive(Debug, Clone, Copy)]
struct Step<'a> {
    op: Op,
    /// The whole path, for what is said about it.
    path: &'a str,
    value: &'a Value,
}

/// `replace` does the same as `add`, as the original's SDK has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Set,
    Remove,
}

impl Step<'_> {
    /// A path that leads to nothing.
    fn unknown(self, of: &str) -> Fault {
        Fault::bad_request(format!(
            "`{:.200}` is not a path of {of} that can be changed",
            self.path
        ))
    }
}

/// The operations of a patch, at least one.
fn operations(body: &Json) -> Result<Vec<Operation>, Fault> {
    let operations: Vec<Operation> = body.parse_list()?;
    if operations.is_empty() {
        return Err(Fault::bad_request("the patch is empty: nothing to change"));
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(Fault::bad_request(format!(
            "the patch holds {} operations, at most {MAX_OPERATIONS} are taken",
            operations.len()
        )));
    }
    Ok(operations)
}

/// Does each operation with the parts of its path; a refusal tells which it was.
fn each(
    operations: &[Operation],
    mut apply: impl FnMut(Step, &[&str]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for (index, operation) in operations.iter().enumerate() {
        let done = operation.step().and_then(|step| {
            let place = pointer(step.path)?;
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            apply(step, &place)
        });
        done.map_err(|mut fault| {
            fault.message = format!("operation {index} of the patch: {}", fault.message);
            fault
        })?;
    }
    Ok(())
}

impl Operation {
    fn step(&self) -> Result<Step<'_>, Fault> {
        let op = match self.op.as_str() {
            "add" | "replace" => Op::Set,
            "remove" => Op::Remove,
            other => {
                return Err(Fault::bad_request(format!(
                    "`{other:.20} {:.200}`: expected add, replace or remove",
                    self.path
                )));
            }
        };
        Ok(Step {
            op,
            path: &self.path,
            value: &self.value,
        })
    }
}

/// The parts of a JSON Pointer (RFC 6901).
fn pointer(path: &str) -> Result<Vec<String>, Fault> {
    let rest = path.strip_prefix('/').ok_or_else(|| {
        Fault::bad_request(format!("path `{path:.80}` does not begin with a slash"))
    })?;
    Ok(rest
        .split('/')
        .map(|word| word.replace("~1", "/").replace("~0", "~"))
        .collect())
}
