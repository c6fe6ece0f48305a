// Package meter names every metric the program publishes, once, and serves them
// in the Prometheus text format from a registry of its own.
//
// Every method is safe on the nil *Meter, which measures nothing, and on the hot
// path allocates nothing: the counter behind a set of labels is looked up once
// and kept. No label holds what an outsider typed. A method, a grant or an error
// code that is not one of the known ones is counted as "other", so nobody can
// fill the registry with series of their own:
//
//	what the caller says ──▶ the known names ──▶ child counter, kept
//	                              └─ else "other"
//
// Names, all with the prefix gatekeeper_:
//
//	http_request_duration_seconds{route,method,code}
//	tokens_issued_total{grant,type}      token_errors_total{grant,error}
//	logins_total{method,result}          introspections_total{transport,active}
//	replays_total{kind}                  rate_limited_total{rule}
//	device_answers_total{answer}         requests_shed_total{class}
//	password_hash_seconds                password_hash_waiting
//	audit_refusals_dropped_total         build_info{version,go_version}
package meter
