//go:build !linux

package endpoint

func residentBytes() (int64, bool) { return 0, false }

func memoryLimit(string) (int64, bool) { return 0, false }

func descriptors() (open, most int64, ok bool) { return 0, 0, false }
