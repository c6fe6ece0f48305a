// Package consent asks what an application may do, remembers the answer, and
// forgets it when asked.
//
//	/oauth2/authorize ─ Step.Needed? ─▶ GET /consent?i= ─▶ POST /consent
//	        ▲                                                │ allow: Consent + event + Interaction.Consented, one change
//	        │                                                │ deny:  event + Interaction.Denied, one change
//	        ├──────────── 303 oauth2.ResumeURL ◀─────────────┘
//	        └──────────── 303 oauth2.ResumeURL ◀─ POST /device, a code is right
//
// Its rules:
//
//   - Every scope is asked for by name before a code carries it, and only what was
//     not allowed before, unless the application wants everything asked again
//     (prompt=consent). Applications of the house itself are not asked about.
//   - An answer is the answer of the person the page named. The form carries their
//     session, and the interaction keeps it beside Consented: an account switched in
//     another tab cannot lend its name to it, and one that signs in afterwards is
//     asked itself.
//   - A device asks through a code that somebody typed at /device. Whose device that
//     is nobody knows, so its page says where it asked from, asks about everything
//     every time, and warns of codes that others sent (RFC 8628 section 5.4).
//   - Deny is as easy as Allow, and nothing is chosen beforehand.
//   - Taking an answer back revokes the grants that came of it, in the same change.
package consent
