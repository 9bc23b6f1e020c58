//! What every verb says of itself, and how it fails. `INSTA_UPDATE=always cargo test --test e2e cli::` accepts changes.

use insta::assert_snapshot;

use crate::support::icewright;

/// Help of every verb, found by asking the binary itself.
#[test]
fn should_describe_every_verb() {
    let mut queue: Vec<Vec<String>> = vec![Vec::new()];
    let mut all = String::new();
    while let Some(path) = queue.pop() {
        let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
        args.push("--help");
        let help = icewright(&args).exits(0).stdout;
        let verbs = help.split("\nCommands:\n").nth(1).unwrap_or_default().lines().take_while(|line| !line.is_empty());
        let mut found: Vec<String> = verbs
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|verb| *verb != "help")
            .map(str::to_owned)
            .collect();
        found.reverse();
        for verb in found {
            queue.push([path.clone(), vec![verb]].concat());
        }
        all.push_str(&format!("$ icewright {}\n{help}\n", args.join(" ")));
    }
    assert_snapshot!("help", all);
}

/// Failures of the command line itself: exit code, what is said, and the hint.
#[test]
fn should_fail_in_words_that_help() {
    let cases: [&[&str]; 13] = [
        &["compakt"],
        &["compact"],
        &["compact", "--all"],
        &["compact", "--all", "--catalog", "sqlite:///nonexistent/catalog.db"],
        &["compact", "--all", "--catalog", "ftp://x"],
        &["compact", "--all", "--catalog", "lake"],
        &["inspect", "--all", "--prop", "oops", "--catalog", "sqlite:///nonexistent/catalog.db"],
        &["plan", "maintain", "--all", "--catalog", "glue:"],
        &["apply", "/nonexistent/plan.json", "--catalog", "sqlite:///nonexistent/catalog.db"],
        &["config", "check", "/nonexistent/icewright.toml"],
        &["config", "check"],
        &["completions", "cmd"],
        &["compact", "--all", "--metrics-push", "vm", "--catalog", "sqlite:///nonexistent/catalog.db"],
    ];
    let mut all = String::new();
    for case in cases {
        let ran = icewright(case);
        all.push_str(&format!("$ icewright {}\n{}{}[{}]\n\n", case.join(" "), ran.stdout, ran.stderr, ran.code));
    }
    assert_snapshot!("failures", all);
}

#[test]
fn should_print_completions_and_manual_pages() {
    let bash = icewright(&["completions", "bash"]).exits(0).stdout;
    assert!(bash.contains("rewrite-job-order") && bash.contains("_icewright()"), "{bash}");
    let dir = tempfile::tempdir().unwrap();
    icewright(&["man", "--dir", &dir.path().display().to_string()]).exits(0);
    assert!(dir.path().join("icewright-compact.1").exists());
    assert!(icewright(&["man"]).exits(0).stdout.contains(".TH icewright"));
}

#[test]
fn should_write_and_check_a_configuration_with_line_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("icewright.toml").display().to_string();
    icewright(&["config", "init", &file]).exits(0);
    let checked = icewright(&["config", "check", &file]).exits(0).stdout;
    assert!(checked.contains("is fine"), "{checked}");
    let again = icewright(&["config", "init", &file]).exits(2);
    assert!(again.stderr.contains("it is there already"), "{}", again.stderr);
    let text = "[catalog.lake]\nuri = \"sqlite:///x.db\"\n\n[[schedule]]\nrun = \"compact\"\ncron = \"0 3 * * sunn\"\n";
    std::fs::write(&file, text).unwrap();
    let wrong = icewright(&["config", "check", &file]).exits(2).stderr;
    assert!(wrong.contains("line 6: cron \"0 3 * * sunn\": \"sunn\" is no day of week"), "{wrong}");
    std::fs::write(&file, text.replace("sunn\"", "sun\"\nwindows = [\"8-9\"]")).unwrap();
    let wrong = icewright(&["config", "check", &file]).exits(2).stderr;
    assert!(wrong.contains("line 7: window \"8-9\""), "{wrong}");
    std::fs::write(&file, text.replace("sunn", "sun").replace("run =", "name = \"weekly\"\nrun =")).unwrap();
    let fine = icewright(&["config", "check", &file]).exits(0).stdout;
    assert!(fine.contains("weekly runs compact, due 20"), "{fine}");
}
