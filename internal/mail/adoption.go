package mail

// Adoption is how far a store has come with the messages of another one.
type Adoption struct {
	Messages int `json:"messages"`          // taken over, corrupt ones included
	Corrupt  int `json:"corrupt,omitempty"` // of these, those that went to the corrupt queue
	Renamed  int `json:"renamed,omitempty"` // of these, those whose queue ID was not free here
	Before   int `json:"before,omitempty"`  // that an earlier run had taken, found once more and not taken again
	// Left are those of which something that could not be read stays behind.
	Left int `json:"left,omitempty"`
	// Damaged: files of the queue were missing or cut when it was opened. Mail that was in
	// them is not even counted.
	Damaged bool `json:"damaged,omitempty"`
	Whole   bool `json:"whole,omitempty"` // nothing is left to take
}
