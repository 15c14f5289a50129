//! Guests that are plain core modules: the path of C, Rust, Go, Zig and WAT.
//!
//! The interface, all numbers i32 unless said otherwise:
//!
//! - `memory`: the linear memory that the pointers below point into.
//! - `_initialize()`, optional: called once, first (WASI reactors have it).
//! - `init() -> i32`: called once; anything but 0 is a failed deployment.
//! - `lusk_alloc(length) -> pointer`: room for a request's body. The buffer is
//!   the guest's from then on; 0 with a length above 0 means "no memory".
//! - `run(pointer, length) -> i64`: gets the body (of a GET: its query as a
//!   JSON object) and returns the reply's pointer in the high half and its
//!   length in the low half. The reply must stay until the next call; it is
//!   the guest's. `-1` says that the script failed (the caller gets 502), `-2`
//!   that the request is bad (400); why is what the guest wrote to stderr last.
//!
//! The reply has status 200 and content type `application/json`. Who needs
//! more writes a component.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use lusk_contract::{ScoreReply, ScoreRequest, ScriptError};
use wasmtime::{Instance, Memory, Store, TypedFunc};

use crate::{context::Context, query};

/// `run` says that the script failed.
const FAILED: i64 = -1;

/// `run` says that the request is bad.
const BAD_REQUEST: i64 = -2;

/// The exports that lusk calls.
#[derive(Clone)]
pub(crate) struct CoreExports {
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    init: TypedFunc<(), i32>,
    run: TypedFunc<(i32, i32), i64>,
    initialize: Option<TypedFunc<(), ()>>,
}

/// The functions that a module must export, and their types for messages.
const FUNCTIONS: [(&str, &str); 3] = [
    ("lusk_alloc", "func (param i32) (result i32)"),
    ("init", "func (result i32)"),
    ("run", "func (param i32 i32) (result i64)"),
];

/// What is missing or has another type, one line each.
pub(crate) fn violations(module: &wasmtime::Module) -> Vec<String> {
    let mut found = Vec::new();
    match module.get_export("memory") {
        Some(wasmtime::ExternType::Memory(_)) => {}
        _ => found.push("it exports no memory named `memory`".to_owned()),
    }
    for (name, wanted) in FUNCTIONS {
        match module.get_export(name) {
            Some(wasmtime::ExternType::Func(ty)) => {
                let actual = signature(&ty);
                if actual != wanted {
                    found.push(format!("`{name}` is {actual}, expected {wanted}"));
                }
            }
            _ => found.push(format!("it exports no function `{name}`: {wanted}")),
        }
    }
    found
}

fn signature(ty: &wasmtime::FuncType) -> String {
    let list = |word: &str, types: Vec<String>| {
        if types.is_empty() {
            String::new()
        } else {
            format!(" ({word} {})", types.join(" "))
        }
    };
    format!(
        "func{}{}",
        list("param", ty.params().map(|ty| ty.to_string()).collect()),
        list("result", ty.results().map(|ty| ty.to_string()).collect())
    )
}

impl CoreExports {
    /// Takes the exports of a fresh instance.
    pub(crate) fn of(instance: &Instance, store: &mut Store<Context>) -> wasmtime::Result<Self> {
        Ok(Self {
            memory: instance
                .get_memory(&mut *store, "memory")
                .ok_or_else(|| wasmtime::Error::msg("no memory is exported"))?,
            alloc: instance.get_typed_func(&mut *store, "lusk_alloc")?,
            init: instance.get_typed_func(&mut *store, "init")?,
            run: instance.get_typed_func(&mut *store, "run")?,
            initialize: instance.get_typed_func(&mut *store, "_initialize").ok(),
        })
    }

    /// Calls `_initialize` and `init`.
    pub(crate) async fn init(
        &self,
        store: &mut Store<Context>,
    ) -> wasmtime::Result<Result<(), String>> {
        if let Some(initialize) = &self.initialize {
            initialize.call_async(&mut *store, ()).await?;
        }
        Ok(match self.init.call_async(&mut *store, ()).await? {
            0 => Ok(()),
            code => Err(format!("init() returned {code}")),
        })
    }

    /// Calls `run`. The outer error is the end of the instance.
    pub(crate) async fn run(
        &self,
        store: &mut Store<Context>,
        request: &ScoreRequest,
    ) -> wasmtime::Result<Result<ScoreReply, ScriptError>> {
        let query;
        let body: &[u8] = if request.method == Method::GET {
            query = query::as_json(&request.target);
            query.as_bytes()
        } else {
            &request.body
        };
        let Ok(length) = i32::try_from(body.len()) else {
            return Ok(Err(ScriptError::BadRequest(format!(
                "a body of {} bytes is more than a core module can take",
                body.len()
            ))));
        };
        let pointer = self.alloc.call_async(&mut *store, length).await?;
        if pointer == 0 && length > 0 {
            return Err(wasmtime::Error::msg(format!(
                "lusk_alloc({length}) returned 0: the script has no memory for the request"
            )));
        }
        let room = span(pointer.cast_unsigned(), length.cast_unsigned());
        self.memory
            .data_mut(&mut *store)
            .get_mut(room)
            .ok_or_else(|| out_of_bounds("lusk_alloc", pointer, length))?
            .copy_from_slice(body);
        let result = self.run.call_async(&mut *store, (pointer, length)).await?;
        Ok(match result {
            FAILED => Err(ScriptError::Raised("run() returned -1".to_owned())),
            BAD_REQUEST => Err(ScriptError::BadRequest("run() returned -2".to_owned())),
            packed => Ok(self.reply(store, packed)?),
        })
    }

    fn reply(&self, store: &Store<Context>, packed: i64) -> wasmtime::Result<ScoreReply> {
        let pointer = (packed >> 32) as i32;
        let length = packed as i32;
        let body = self
            .memory
            .data(store)
            .get(span(pointer.cast_unsigned(), length.cast_unsigned()))
            .ok_or_else(|| out_of_bounds("run", pointer, length))?;
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(ScoreReply {
            status: StatusCode::OK,
            headers,
            body: Bytes::copy_from_slice(body),
            run_time: None,
            function_failed: false,
        })
    }
}

fn span(pointer: u32, length: u32) -> std::ops::Range<usize> {
    pointer as usize..pointer as usize + length as usize
}

fn out_of_bounds(function: &str, pointer: i32, length: i32) -> wasmtime::Error {
    wasmtime::Error::msg(format!(
        "{function} returned the range of {} bytes at {}, which is outside of the memory",
        length.cast_unsigned(),
        pointer.cast_unsigned()
    ))
}
