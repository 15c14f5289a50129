//! Answers `{"data": [1, 2, 3]}` with `{"mean": 2, "count": 3}`.

mod lusk_entry;

use lusk_entry::{Request, Response, RunError};

fn init() -> Result<(), String> {
    Ok(())
}

fn run(request: Request) -> Result<Response, RunError> {
    let numbers = numbers(&request.body)
        .ok_or_else(|| RunError::BadRequest("expected {\"data\": [numbers]}".to_owned()))?;
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    Ok(Response {
        status: 200,
        headers: vec![("x-count".to_owned(), numbers.len().to_string())],
        body: format!("{{\"mean\": {}, \"count\": {}}}", mean, numbers.len()).into_bytes(),
    })
}

/// The numbers between the first `[` and the first `]`.
fn numbers(body: &[u8]) -> Option<Vec<f64>> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, list) = text.split_once('[')?;
    let (list, _) = list.split_once(']')?;
    list.split(',')
        .map(|number| number.trim().parse().ok().filter(|n: &f64| n.is_finite()))
        .collect()
}
