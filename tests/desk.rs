//! Working on rules over the API: trying a candidate, saving a file.

mod common;

use common::{
    Root, SOON,
    room::{RULES, Reply, Room, room, serve},
    until,
};
use serde_json::{Value, json};

const PATH: &str = "rules/weights.yaml";

async fn rehearse(room: &Room, body: Value) -> Value {
    let reply = room.own("POST", "/api/rules/dry-run", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

async fn save(room: &Room, body: Value) -> Reply {
    room.own("PUT", "/api/rules/file", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_tried_and_nothing_is_written() {
    let room = room().await;
    room.looked().await;
    let same = rehearse(&room, json!({"files": {}})).await;
    assert_eq!(
        (&same["ok"], &same["changes"]["text"]),
        (&json!(true), &json!("+0 ~0 -0 checks"))
    );
    let stricter = RULES.replace("warning: { above: 5 }", "warning: { above: 2 }");
    let tried = rehearse(&room, json!({"files": {PATH: stricter}})).await;
    assert_eq!(tried["changes"]["changed"], json!(["load"]), "{tried}");
    let pair = &tried["compare"]["checks"][0];
    assert_eq!(
        (&pair["present"]["status"], &pair["candidate"]["status"]),
        (&json!("OK"), &json!("WARNING"))
    );
    assert_eq!(tried["answer"]["checks"][0]["name"], "load");
    // What would be repaired is shown with its difference, and not done.
    std::fs::remove_file(room.root.at("data/load.json")).expect("it was there");
    let added = "
checks:
  - name: load_there
    trigger: { every: 1h }
    probe: { json: { file: data/load.json } }
    threshold: { critical: missing }
    remediation: { steps: [ { restore_file: { file: data/load.json, from: rules/defaults/weights.json } } ] }
";
    let tried = rehearse(
        &room,
        json!({"files": {"rules/more.yaml": added}, "names": ["load_there"]}),
    )
    .await;
    let check = &tried["answer"]["checks"][0];
    assert_eq!(
        (&check["status"], &check["remediation"]["decision"]),
        (&json!("CRITICAL"), &json!("would"))
    );
    assert!(
        check["remediation"]["steps"][0]["diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("+{\"a\": 1}"))
    );
    assert_eq!(tried["compare"]["checks"][0]["present"], Value::Null);
    assert!(!room.root.at("data/load.json").exists());
    let broken = rehearse(
        &room,
        json!({"files": {PATH: RULES.replace("threshold:", "thershold:")}}),
    )
    .await;
    assert_eq!(
        (&broken["ok"], &broken["answer"]),
        (&json!(false), &Value::Null)
    );
    let complaint = &broken["complaints"][0];
    assert_eq!(
        (&complaint["file"], &complaint["code"]),
        (&json!(PATH), &json!("unknown-key"))
    );
    assert!(
        broken["complaints_text"]
            .as_str()
            .is_some_and(|text| text.contains("threshold"))
    );
    let gone = rehearse(&room, json!({"files": {PATH: null}})).await;
    assert_eq!(gone["ok"], false, "no rule is left: {gone}");
    for (body, status) in [
        (json!({"files": {"rules/../x.yaml": ""}}), 404),
        (json!({"files": {"rules/defaults/weights.json": ""}}), 404),
        (json!({"files": {}, "names": ["nobody"]}), 404),
        (json!({"file": {}}), 400),
    ] {
        let reply = room.own("POST", "/api/rules/dry-run", &body).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
    }
    assert_eq!(room.root.text(PATH), RULES);
    let mut names: Vec<_> = std::fs::read_dir(room.root.at("rules"))
        .expect("rules")
        .map(|it| it.expect("one").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["defaults", "weights.yaml"]);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_saved_and_runs() {
    let room = room().await;
    room.looked().await;
    let read = room.get(&format!("/api/rules/file?path={PATH}")).await;
    let stricter = RULES.replace("warning: { above: 5 }", "warning: { above: 2 }");
    let edit = json!({"path": PATH, "text": stricter, "hash": read["hash"], "by": "ann"});
    let saved = save(&room, edit.clone()).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    let saved = saved.json();
    assert_eq!(
        (&saved["reload"]["live"], &saved["reload"]["changes"]),
        (&json!(true), &json!("+0 ~1 -0 checks"))
    );
    assert_eq!(room.root.text(PATH), stricter);
    until(SOON, "it runs", async || {
        (room.row("load").await["status"] == "WARNING").then_some(())
    })
    .await;
    let history = room.get("/api/history").await;
    let notes: Vec<&Value> = history
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["kind"] == "edited")
        .collect();
    assert_eq!(notes[0]["text"], format!("ann (owner) saved {PATH}"));
    // The same again: it is another file by now.
    let conflict = save(&room, edit).await;
    assert_eq!(
        (conflict.status, &conflict.json()["hash"]),
        (409, &saved["hash"]),
        "{conflict:?}"
    );
    let conflict = save(&room, json!({"path": PATH, "text": RULES, "hash": null})).await;
    assert_eq!(conflict.status, 409, "{conflict:?}");
    let gone = save(
        &room,
        json!({"path": "rules/new.yaml", "text": RULES, "hash": "0123"}),
    )
    .await;
    assert_eq!(
        (gone.status, &gone.json()["hash"]),
        (409, &Value::Null),
        "{gone:?}"
    );
    let broken =
        json!({"path": "rules/new.yaml", "text": "checks: [ { nam: x } ]\n", "hash": null});
    let refused = save(&room, broken.clone()).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["complaints"][0]["file"], "rules/new.yaml");
    assert!(!room.root.at("rules/new.yaml").exists());
    let mut forced = broken;
    forced["force"] = json!(true);
    let forced = save(&room, forced).await;
    assert_eq!(
        (forced.status, &forced.json()["reload"]["live"]),
        (200, &json!(false)),
        "{forced:?}"
    );
    assert!(room.root.at("rules/new.yaml").exists());
    for path in [
        "homeostat.yaml",
        "rules/x.txt",
        "rules/../data/x.yaml",
        "rules/.x.yaml",
        "data/x.yaml",
    ] {
        let refused = save(&room, json!({"path": path, "text": "", "hash": null})).await;
        assert_eq!(refused.status, 404, "{path}: {refused:?}");
    }
    let refused = save(
        &room,
        json!({"path": "rules/none/x.yaml", "text": RULES, "hash": null, "force": true}),
    )
    .await;
    assert_eq!(refused.status, 409, "{refused:?}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_rule_is_hidden_and_saving_leaves_it_as_it_is() {
    let root = Root::new();
    let secret = "deploy-key-0123456789";
    let rules = RULES.replace(
        "about: The weights are there.",
        &format!("about: The key is {secret}."),
    );
    root.put(PATH, &rules);
    root.put("rules/defaults/weights.json", "{}\n");
    root.put("deploy.token", secret);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(root.at("deploy.token"), private).expect("it is there");
    root.put(
        "homeostat.yaml",
        "api: { tokens: [ { name: deploy, scope: read, file: deploy.token } ] }\n",
    );
    let room = serve(root).await;
    let read = room.get(&format!("/api/rules/file?path={PATH}")).await;
    let text = read["text"].as_str().expect("a text");
    assert!(
        !text.contains(secret) && text.contains("•••token deploy•••"),
        "{text}"
    );
    let text = format!("{text}# edited, •••token owner•••\n");
    let saved = save(
        &room,
        json!({"path": PATH, "text": text, "hash": read["hash"]}),
    )
    .await;
    assert_eq!(saved.status, 200, "{saved:?}");
    assert_eq!(
        room.root.text(PATH),
        format!("{rules}# edited, •••token owner•••\n"),
        "no other secret is put there"
    );
    room.stop().await;
}
