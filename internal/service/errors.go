package service

import "errors"

// ErrShed says that a record was dropped because the spool had no room for
// its class. The loss is counted by the agent; the caller carries on.
var ErrShed = errors.New("record shed: the spool is full")
