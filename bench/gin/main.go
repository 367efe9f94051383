// The same routes as TaskTrack's, on Gin: a simple implementation with a map and a lock. There is no
// worker pool: tasks stay pending, so nothing competes with the requests.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

type task struct {
	id          int64
	name        string
	description string
	createdAt   time.Time
	updatedAt   time.Time
	version     int64
}

type store struct {
	mu     sync.RWMutex
	lastID int64
	tasks  map[int64]*task
}

type createRequest struct {
	Name        string `json:"name" binding:"required"`
	Description string `json:"description"`
}

type patchRequest struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
}

type createdAnswer struct {
	Message string `json:"message"`
	TaskID  int64  `json:"task_id"`
}

type errorAnswer struct {
	Error string `json:"error"`
}

type listedTask struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      string `json:"status"`
}

type briefTask struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      string `json:"status"`
	CreatedAt   string `json:"created_at"`
	Duration    string `json:"duration"`
}

// fullTask has every field that TaskTrack answers, so that both sides serialise and send the same.
type fullTask struct {
	briefTask
	Type            string            `json:"type"`
	Payload         json.RawMessage   `json:"payload"`
	Priority        int               `json:"priority"`
	Tags            []string          `json:"tags"`
	Labels          map[string]string `json:"labels"`
	Key             *string           `json:"key"`
	RunAt           string            `json:"run_at"`
	Timeout         *string           `json:"timeout"`
	Attempt         int               `json:"attempt"`
	MaxAttempts     int               `json:"max_attempts"`
	Progress        *string           `json:"progress"`
	Result          json.RawMessage   `json:"result"`
	Error           *string           `json:"error"`
	Attempts        []string          `json:"attempts"`
	CancelRequested bool              `json:"cancel_requested"`
	StartedAt       *string           `json:"started_at"`
	FinishedAt      *string           `json:"finished_at"`
	UpdatedAt       string            `json:"updated_at"`
	Version         int64             `json:"version"`
}

const wireTime = "2006-01-02T15:04:05.000Z"

var errNotFound = errors.New("Task not found")

func presentBrief(t task) briefTask {
	return briefTask{
		ID:          t.id,
		Name:        t.name,
		Description: t.description,
		Status:      "pending",
		CreatedAt:   t.createdAt.Format(wireTime),
		Duration:    "0s",
	}
}

func presentFull(t task) fullTask {
	brief := presentBrief(t)
	return fullTask{
		briefTask:   brief,
		Type:        "simulate",
		Tags:        []string{},
		Labels:      map[string]string{},
		RunAt:       brief.CreatedAt,
		MaxAttempts: 1,
		Attempts:    []string{},
		UpdatedAt:   t.updatedAt.Format(wireTime),
		Version:     t.version,
	}
}

func (s *store) create(name, description string) int64 {
	now := time.Now().UTC()
	created := &task{name: name, description: description, createdAt: now, updatedAt: now, version: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	created.id = s.lastID
	s.tasks[created.id] = created
	return created.id
}

func (s *store) get(id int64) (task, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, ok := s.tasks[id]
	if !ok {
		return task{}, errNotFound
	}
	return *found, nil
}

func (s *store) edit(id int64, patch patchRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.tasks[id]
	if !ok {
		return errNotFound
	}
	if patch.Name != nil {
		found.name = *patch.Name
	}
	if patch.Description != nil {
		found.description = *patch.Description
	}
	found.updatedAt = time.Now().UTC()
	found.version++
	return nil
}

func (s *store) remove(id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tasks[id]; !ok {
		return errNotFound
	}
	delete(s.tasks, id)
	return nil
}

func (s *store) list() []listedTask {
	s.mu.RLock()
	listed := make([]listedTask, 0, len(s.tasks))
	for _, t := range s.tasks {
		listed = append(listed, listedTask{ID: t.id, Name: t.name, Description: t.description, Status: "pending"})
	}
	s.mu.RUnlock()
	slices.SortFunc(listed, func(a, b listedTask) int { return int(a.ID - b.ID) })
	return listed
}

func taskID(c *gin.Context) (int64, bool) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id < 1 {
		c.JSON(http.StatusBadRequest, errorAnswer{Error: "Invalid task id"})
		return 0, false
	}
	return id, true
}

func routes(s *store) http.Handler {
	router := gin.New()
	router.Use(gin.Recovery())
	router.GET("/readyz", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	router.POST("/api/task", func(c *gin.Context) {
		var request createRequest
		if err := c.ShouldBindJSON(&request); err != nil {
			c.JSON(http.StatusBadRequest, errorAnswer{Error: err.Error()})
			return
		}
		id := s.create(request.Name, request.Description)
		c.Header("Location", "/api/task/"+strconv.FormatInt(id, 10))
		c.JSON(http.StatusCreated, createdAnswer{Message: "Task created successfully", TaskID: id})
	})
	router.GET("/api/task", func(c *gin.Context) { c.JSON(http.StatusOK, s.list()) })
	router.GET("/api/task/:id", func(c *gin.Context) {
		if found, ok := lookUp(c, s); ok {
			c.JSON(http.StatusOK, presentFull(found))
		}
	})
	// Only the first six fields: the cost of a get in Gin without the other fields.
	router.GET("/api/brief/:id", func(c *gin.Context) {
		if found, ok := lookUp(c, s); ok {
			c.JSON(http.StatusOK, presentBrief(found))
		}
	})
	router.PATCH("/api/task/:id", func(c *gin.Context) {
		id, ok := taskID(c)
		if !ok {
			return
		}
		var patch patchRequest
		if err := c.ShouldBindJSON(&patch); err != nil {
			c.JSON(http.StatusBadRequest, errorAnswer{Error: err.Error()})
			return
		}
		if err := s.edit(id, patch); err != nil {
			c.JSON(http.StatusNotFound, errorAnswer{Error: err.Error()})
			return
		}
		c.JSON(http.StatusOK, createdAnswer{Message: "Task updated successfully", TaskID: id})
	})
	router.DELETE("/api/task/:id", func(c *gin.Context) {
		id, ok := taskID(c)
		if !ok {
			return
		}
		if err := s.remove(id); err != nil {
			c.JSON(http.StatusNotFound, errorAnswer{Error: err.Error()})
			return
		}
		c.Status(http.StatusNoContent)
	})
	return router
}

func lookUp(c *gin.Context, s *store) (task, bool) {
	id, ok := taskID(c)
	if !ok {
		return task{}, false
	}
	found, err := s.get(id)
	if err != nil {
		c.JSON(http.StatusNotFound, errorAnswer{Error: err.Error()})
		return task{}, false
	}
	return found, true
}

func main() {
	gin.SetMode(gin.ReleaseMode)
	server := &http.Server{
		Addr:              "127.0.0.1:" + os.Getenv("HTTP_PORT"),
		Handler:           routes(&store{tasks: make(map[int64]*task)}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
