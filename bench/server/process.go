package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks a second of the processor times in /proc, as Linux has them on every
// architecture that Go runs on.
const ticks = 100

// stat returns the fields of /proc/PID/stat after the program's name, see
// proc_pid_stat(5): the first is field 3, the state.
func stat(pid int) ([]string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 22 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}

// processorTime is what the process has used in user and kernel mode.
func processorTime(pid int) (time.Duration, error) {
	f, err := stat(pid)
	if err != nil {
		return 0, err
	}
	var sum int
	for _, field := range f[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// resident is the memory of the process that is in RAM, in bytes.
func resident(pid int) (int, error) {
	f, err := stat(pid)
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(f[21])
	return pages * os.Getpagesize(), err
}

// childNamed finds a child of the process by its program.
func childNamed(parent int, name string) (int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		f, err := stat(pid)
		if err != nil || f[1] != strconv.Itoa(parent) {
			continue
		}
		if exe, err := os.Readlink(dir + "/exe"); err == nil && filepath.Base(exe) == name {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("process %d has no child %s", parent, name)
}
