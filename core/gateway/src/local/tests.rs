use http::StatusCode;

use super::*;
use crate::testing::{Answer, Behaviour, Client, Fake, info, reply, request, route_that, route_to};

fn saying(text: &str) -> Arc<Route> {
    route_that(Behaviour::Reply(reply(StatusCode::OK, text)))
}

async fn ask(door: &dyn LocalDoor, method: &str, path: &str) -> Answer {
    let mut client = Client::connect(door.address()).await;
    let body = if method == "POST" { "x" } else { "" };
    client.send(request(method, path, &[], body)).await;
    client.answer_to(method).await
}

fn doors() -> Doors {
    Doors::new(ScoringOptions::default())
}

#[tokio::test]
async fn a_local_service_scores_without_a_key() {
    let door = doors().open(saying("seven"), None).await.expect("open");
    assert!(door.address().ip().is_loopback());
    let answer = ask(&*door, "POST", "/score").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "seven"));
    assert_eq!(answer.header("x-ms-run-function-failed"), Some("False"));
    let answer = ask(&*door, "GET", "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "Healthy"));
    let swagger = ask(&*door, "GET", "/swagger.json").await;
    assert!(swagger.json()["paths"]["/score"].is_object());
    let answer = ask(&*door, "POST", "/api/v1/service/digits/score").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn health_of_a_local_service_is_that_of_its_replicas() {
    let route = saying("seven");
    let door = doors().open(Arc::clone(&route), None).await.expect("open");
    route.remove(0);
    assert_eq!(ask(&*door, "GET", "/").await.status, 503);
}

#[tokio::test]
async fn the_script_sees_the_same_target_as_behind_the_scoring_door() {
    let route = route_to(info(), &Fake::new(Behaviour::Echo));
    let door = doors().open(route, None).await.expect("open");
    let answer = ask(&*door, "GET", "/score?a=1").await;
    assert_eq!(answer.json()["target"], "/score?a=1");
}

#[tokio::test]
async fn an_update_keeps_the_port() {
    let door = doors().open(saying("old"), None).await.expect("open");
    door.set_route(saying("new"));
    assert_eq!(ask(&*door, "POST", "/score").await.body, "new");
}

#[tokio::test]
async fn a_closed_door_gives_its_port_back() {
    let doors = doors();
    let door = doors.open(saying("one"), None).await.expect("open");
    let port = door.address().port();
    for text in ["two", "three"] {
        // Stands for a service that is deleted and made again at once.
        drop(doors.open(saying("other"), None).await.expect("open"));
        let other = doors.open(saying(text), None).await.expect("open");
        assert_ne!(other.address().port(), port);
    }
    drop(door);
    let door = doors.open(saying("two"), Some(port)).await.expect("open");
    assert_eq!(ask(&*door, "POST", "/score").await.body, "two");
}

#[tokio::test]
async fn a_port_of_another_service_is_refused_by_name() {
    let doors = doors();
    let door = doors.open(saying("one"), None).await.expect("open");
    let port = door.address().port();
    let refused = doors.open(saying("two"), Some(port)).await;
    let error = refused.err().expect("taken");
    assert!(error.contains(&port.to_string()), "{error}");
    assert!(error.contains("local service `digits`"), "{error}");
}

#[tokio::test]
async fn a_port_of_another_program_is_refused_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let refused = doors().open(saying("one"), Some(port)).await;
    let error = refused.err().expect("taken");
    assert!(error.contains(&format!("port {port} ")), "{error}");
    assert!(error.contains("name another port"), "{error}");
}
