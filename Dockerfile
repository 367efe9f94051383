# The image has the single-file executable and nothing else.
FROM node:22-slim AS build
WORKDIR /tasktrack
COPY . .
RUN npm ci && npm run build

FROM debian:stable-slim
COPY --from=build /tasktrack/dist/tasktrack /usr/local/bin/tasktrack
USER 10001
EXPOSE 8080
ENTRYPOINT ["tasktrack"]
CMD ["serve"]
