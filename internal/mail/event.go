package mail

// Rooms log events, not prose: a record's message is one of the names below, its
// attributes have the keys below, and internal/maillog alone knows how a line looks.
// A record with another message is a free line: at slog.LevelWarn it is shown as
// "warning: ...", at LevelError as "error: ...".
const (
	// KeyDaemon is set with Logger.With: the daemon whose line this is, as Postfix names
	// them: smtpd, cleanup, qmgr, smtp, lmtp, local, error, bounce, pickup, postscreen,
	// anvil, master.
	KeyDaemon = "daemon"

	KeyQueueID  = "queue_id"
	KeyClient   = "client" // name[address]
	KeyFrom     = "from"
	KeyTo       = "to"
	KeyOrigTo   = "orig_to"
	KeyRelay    = "relay"
	KeyConnUse  = "conn_use"
	KeyDelay    = "delay"  // time.Duration
	KeyDelays   = "delays" // [4]time.Duration
	KeyDSN      = "dsn"
	KeyStatus   = "status" // sent, deferred, bounced, expired
	KeyReason   = "reason"
	KeyProto    = "proto"
	KeyHelo     = "helo"
	KeySize     = "size"
	KeyNrcpt    = "nrcpt"
	KeyUID      = "uid"
	KeyStage    = "stage" // CONNECT, HELO, MAIL, RCPT, DATA, END-OF-MESSAGE ...
	KeyMessage  = "message_id"
	KeyCommands = "commands" // "ehlo=1 mail=1 ... commands=5"
	KeyNewID    = "new_id"
	KeyKind     = "kind"
	KeyTLSLevel = "tls_level" // Untrusted, Trusted, Verified, Anonymous
	KeyTLS      = "tls"       // of a delivery: Result.TLS; else "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)"

	EventConnect    = "connect"       // smtpd: client
	EventDisconnect = "disconnect"    // smtpd: client, commands
	EventClient     = "client"        // smtpd: queue_id, client, [orig_queue_id, orig_client]: a transaction has its queue ID
	EventReject     = "reject"        // smtpd: [queue_id], [kind], stage, client, reason, from, to, proto, helo; kind is what was done if it was no refusal: reject_warning, hold, discard, permit...
	EventLost       = "lost"          // smtpd: reason (lost connection, timeout, too many errors...), stage, client
	EventMessageID  = "message-id"    // cleanup: queue_id, message_id
	EventCleanup    = "cleanup"       // cleanup: queue_id, stage, reason, client, from, to, proto, helo: refused at the dot
	EventContent    = "content"       // cleanup: queue_id, kind (reject, warning, hold...), stage (header or body, and which), client, from, to, proto, helo, [reason]: header_checks(5)
	EventPickup     = "pickup"        // pickup: queue_id, uid, from
	EventActive     = "active"        // qmgr: queue_id, from, size, nrcpt
	EventRemoved    = "removed"       // qmgr: queue_id
	EventExpired    = "expired"       // qmgr: queue_id, from
	EventDelivery   = "delivery"      // smtp, error...: queue_id, to, orig_to, relay, conn_use, delay, delays, [tls], dsn, status, reason
	EventConnectErr = "connect-error" // smtp: relay, reason
	EventTLS        = "tls"           // smtp, smtpd: tls_level, relay or client, tls
	EventReported   = "reported"      // bounce: queue_id, kind (failed, delayed, delivered), new_id
	EventOperator   = "operator"      // postsuper, postqueue: queue_id, reason (removed, requeued, held...)
)
