//! The canonical ABI of `lusk:scoring/entry@0.1.0`, written out by hand. lusk
//! wraps a module with these exports into a component when it is deployed.
//! A script implements `init` and `run` in the crate's root.

use std::{
    alloc::{alloc, dealloc, handle_alloc_error, realloc, Layout},
    mem::ManuallyDrop,
    ptr, slice, str,
};

/// A request; its parts are the script's for the length of `run`.
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A reply.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why there is no reply.
pub enum RunError {
    /// The caller gets 400 with this message.
    BadRequest(String),
    /// The caller gets 502; the text goes to the log.
    #[allow(dead_code)]
    Script(String),
}

/// Bytes as the ABI passes them.
#[repr(C)]
pub struct Span {
    at: *mut u8,
    length: usize,
}

impl Span {
    fn of(bytes: Vec<u8>) -> Self {
        let mut bytes = ManuallyDrop::new(bytes.into_boxed_slice());
        Span {
            at: bytes.as_mut_ptr(),
            length: bytes.len(),
        }
    }

    /// Takes back what `Span::of` or `cabi_realloc` gave.
    unsafe fn into_vec(self) -> Vec<u8> {
        if self.length == 0 {
            return Vec::new();
        }
        Vec::from_raw_parts(self.at, self.length, self.length)
    }

    unsafe fn into_text(self) -> String {
        String::from_utf8_unchecked(self.into_vec())
    }
}

/// lusk puts the parts of a request where this says.
#[export_name = "cabi_realloc"]
pub unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_length: usize,
    align: usize,
    length: usize,
) -> *mut u8 {
    if length == 0 {
        return align as *mut u8;
    }
    let fresh = if old_length == 0 {
        alloc(Layout::from_size_align_unchecked(length, align))
    } else {
        realloc(
            old,
            Layout::from_size_align_unchecked(old_length, align),
            length,
        )
    };
    if fresh.is_null() {
        handle_alloc_error(Layout::from_size_align_unchecked(length, align));
    }
    fresh
}

/// `result<_, string>`
#[repr(C)]
pub struct InitResult {
    is_error: u8,
    error: Span,
}

#[export_name = "lusk:scoring/entry@0.1.0#init"]
pub extern "C" fn exported_init() -> *mut InitResult {
    let (is_error, error) = match crate::init() {
        Ok(()) => (0, String::new()),
        Err(text) => (1, text),
    };
    Box::into_raw(Box::new(InitResult {
        is_error,
        error: Span::of(error.into_bytes()),
    }))
}

/// `result<response, run-error>`
#[repr(C)]
pub struct RunResult {
    is_error: u8,
    answer: Answer,
}

#[repr(C)]
union Answer {
    response: ManuallyDrop<RawResponse>,
    error: ManuallyDrop<RawError>,
}

#[repr(C)]
struct RawResponse {
    status: u16,
    headers: *mut [Span; 2],
    header_count: usize,
    body_is_bytes: u8,
    body: Span,
}

#[repr(C)]
struct RawError {
    is_script: u8,
    message: Span,
}

#[export_name = "lusk:scoring/entry@0.1.0#run"]
pub unsafe extern "C" fn exported_run(
    method: *mut u8,
    method_length: usize,
    target: *mut u8,
    target_length: usize,
    headers: *mut [Span; 2],
    header_count: usize,
    _body_is_bytes: i32,
    body: *mut u8,
    body_length: usize,
) -> *mut RunResult {
    let span = |at, length| Span { at, length };
    let request = Request {
        method: span(method, method_length).into_text(),
        target: span(target, target_length).into_text(),
        headers: headers_of(headers, header_count),
        body: span(body, body_length).into_vec(),
    };
    let result = match crate::run(request) {
        Ok(response) => RunResult {
            is_error: 0,
            answer: Answer {
                response: ManuallyDrop::new(lower(response)),
            },
        },
        Err(error) => {
            let (is_script, text) = match error {
                RunError::BadRequest(text) => (0, text),
                RunError::Script(text) => (1, text),
            };
            RunResult {
                is_error: 1,
                answer: Answer {
                    error: ManuallyDrop::new(RawError {
                        is_script,
                        message: Span::of(text.into_bytes()),
                    }),
                },
            }
        }
    };
    Box::into_raw(Box::new(result))
}

unsafe fn headers_of(at: *mut [Span; 2], count: usize) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(count);
    for index in 0..count {
        let [name, value] = ptr::read(at.add(index));
        headers.push((name.into_text(), value.into_text()));
    }
    if count > 0 {
        dealloc(at.cast(), Layout::array::<[Span; 2]>(count).unwrap());
    }
    headers
}

fn lower(response: Response) -> RawResponse {
    let headers: Vec<[Span; 2]> = response
        .headers
        .into_iter()
        .map(|(name, value)| [Span::of(name.into_bytes()), Span::of(value.into_bytes())])
        .collect();
    let mut headers = ManuallyDrop::new(headers.into_boxed_slice());
    RawResponse {
        status: response.status,
        headers: headers.as_mut_ptr(),
        header_count: headers.len(),
        body_is_bytes: u8::from(str::from_utf8(&response.body).is_err()),
        body: Span::of(response.body),
    }
}

/// The reply has been read: everything in it is freed.
#[export_name = "cabi_post_lusk:scoring/entry@0.1.0#run"]
pub unsafe extern "C" fn after_run(result: *mut RunResult) {
    let result = *Box::from_raw(result);
    if result.is_error == 0 {
        let response = ManuallyDrop::into_inner(result.answer.response);
        let headers = slice::from_raw_parts_mut(response.headers, response.header_count);
        for [name, value] in Box::from_raw(headers as *mut [[Span; 2]]).into_vec() {
            drop((name.into_vec(), value.into_vec()));
        }
        drop(response.body.into_vec());
    } else {
        drop(ManuallyDrop::into_inner(result.answer.error).message.into_vec());
    }
}
