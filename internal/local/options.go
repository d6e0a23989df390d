package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Router knows where addresses belong. It is safe for concurrent use, and may wait for a
// table as long as ctx lives. Errors are temporary.
type Router interface {
	// Complete gives a bare name or a partial domain the domain that is meant.
	Complete(a mail.Address) mail.Address
	// Local tells whether mail for a completed address comes to this package.
	Local(ctx context.Context, a mail.Address) (bool, error)
	// Expand says where an address leads, by virtual aliases too. It refuses nobody for
	// not existing: such a recipient has a destination that returns the mail.
	Expand(ctx context.Context, r mail.RcptRequest) ([]mail.Recipient, error)
}

// Queue takes the messages that aliases forward. It is safe for concurrent use.
type Queue interface {
	NewID() mail.QueueID
	// Stage begins a message.
	Stage(ctx context.Context) (mail.Draft, error)
}

// User is an account of the system. UID 0 stands for nobody in particular.
type User struct {
	Name        string
	UID, GID    int
	Home, Shell string
}

// Options of a Transport; names of parameters are those of postconf(5). What is zero has
// the default that is named.
type Options struct {
	Aliases table.Maps // alias_maps
	Router  Router     // required
	Queue   Queue      // required, but to explain

	MyHostname string // myhostname
	MailName   string // mail_name (Postfix)
	// ConfigDir is told to commands as MAIL_CONFIG, where export_environment has that.
	ConfigDir string
	// QueueDirectory is where commands start.
	QueueDirectory string

	RecipientDelimiter string // recipient_delimiter
	// PropagateAlias and PropagateInclude tell whether propagate_unmatched_extensions has
	// alias and include.
	PropagateAlias, PropagateInclude bool

	// AllowCommands is allow_mail_to_commands, AllowFiles allow_mail_to_files: in which of
	// alias, forward and include a command or a file may stand. Empty: in none.
	AllowCommands, AllowFiles []string

	SplitOwnerRequest bool // owner_request_special = no: owner-name is nothing special
	ExpandOwnerAlias  bool // expand_owner_alias
	ResetOwnerAlias   bool // reset_owner_alias
	// ThawDelivered is frozen_delivered_to = no: each alias puts its own name into
	// Delivered-To.
	ThawDelivered bool
	// PrependDelivered is prepend_delivered_header: command, file, forward.
	PrependDelivered []string

	EnableOriginalRecipient bool // enable_original_recipient
	DuplicateFilterLimit    int  // duplicate_filter_limit
	HopcountLimit           int  // hopcount_limit (50)

	// DefaultPrivs is default_privs, who runs the commands of root's aliases. Required.
	DefaultPrivs User
	// UserByID finds an account. Nil: there are none.
	UserByID func(uid int) (User, error)

	CommandTimeLimit time.Duration // command_time_limit (1000 s)
	CommandShell     string        // local_command_shell; "": /bin/sh where it takes one
	CommandFilter    string        // command_expansion_filter
	CommandDirectory string        // command_execution_directory
	// Environment is what export_environment passes on, as NAME=value.
	Environment []string

	MailboxSizeLimit  int64         // mailbox_size_limit; 0: none
	MailboxLocks      []string      // mailbox_delivery_lock (fcntl, dotlock)
	LockAttempts      int           // deliver_lock_attempts (20)
	LockDelay         time.Duration // deliver_lock_delay (1 s)
	StaleLockTime     time.Duration // stale_lock_time (500 s)
	RecipientParallel int           // local_destination_concurrency_limit (2)

	// Log gets events (package mail) and warnings; nil drops them.
	Log *slog.Logger
	// Now is the clock of dates and delays; nil is time.Now.
	Now func() time.Time
}

// commandFilter is the default of command_expansion_filter.
const commandFilter = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// settings are Options with the defaults filled in.
type settings struct {
	Options
	log  *slog.Logger // local's own lines
	self int          // the user we are
}

func newSettings(o Options) (*settings, error) {
	if o.Router == nil {
		return nil, errors.New("local: Options.Router is missing: nobody knows which names are local")
	}
	if o.DefaultPrivs.UID == 0 || o.DefaultPrivs.GID == 0 {
		return nil, fmt.Errorf("default_privs: %s is a privileged account; name one without rights, such as nobody", o.DefaultPrivs.Name)
	}
	def(&o.MailName, "Postfix")
	def(&o.HopcountLimit, 50)
	def(&o.CommandTimeLimit, 1000*time.Second)
	def(&o.CommandFilter, commandFilter)
	def(&o.LockAttempts, 20)
	def(&o.LockDelay, time.Second)
	def(&o.StaleLockTime, 500*time.Second)
	def(&o.RecipientParallel, 2)
	if o.MailboxLocks == nil {
		o.MailboxLocks = []string{"fcntl", "dotlock"}
	}
	if o.UserByID == nil {
		o.UserByID = func(uid int) (User, error) { return User{}, fmt.Errorf("unknown user %d", uid) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &settings{Options: o, log: o.Log.With(mail.KeyDaemon, "local"), self: os.Geteuid()}, nil
}

func def[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

func (s *settings) warnf(format string, args ...any) { s.log.Warn(fmt.Sprintf(format, args...)) }
