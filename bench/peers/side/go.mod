module bench/side

go 1.26.0
