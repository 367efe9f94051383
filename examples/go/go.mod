module tasktrack-worker

go 1.19
